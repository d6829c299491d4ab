"""Trained weights that are missing, or of another network."""
import copy
import re
from collections.abc import Iterator

from mmengine.registry import MODELS
from torch import nn

from eca_mm.backbones.two_stream import TwoStreamBackbone, load_with_repeated_stem
from eca_mm.backbones.with_attention import network_config
from eca_mm.checkpoints.keys import KeyReport, summarize
from eca_mm.compat import load_checkpoint_file
from eca_mm.datasets.pipelines import walk
from eca_mm.engine.runner import check_pretrained
from eca_mm.utils.errors import UserError
from eca_mm.utils.pretrained import pretrained_configs

from .context import ConfigContext, Finding


def check(context: ConfigContext) -> Iterator[Finding]:
    """Compare the weights that ``init_cfg`` and ``load_from`` name with the model.

    Weights on the web are not fetched.

    Args:
        context (ConfigContext): The config.

    Yields:
        Finding: An error for a file that is missing, unusable or of another network; a warning
        where a part of the model would start without weights.
    """
    streams = {id(found) for _, node in walk(context.config.model, 'model')
               if node.get('type') in ('TwoStreamBackbone', TwoStreamBackbone)
               for stream in (node.get('frame') or {}, node.get('event') or {})
               for found in (stream, network_config(stream)[0])}
    # What is trained is the network with its attention, not the network that its settings name.
    attentive = {id(network_config(node)[0]): node for _, node in walk(
        context.config.model, 'model') if network_config(node)[0] is not node}
    for where, node in walk(context.config.model, 'model'):
        for init in pretrained_configs(node.get('init_cfg')):
            yield from _check_part(f'{where}.init_cfg', node, init, id(node) in streams,
                                   attentive.get(id(node)))
    path = context.config.get('load_from')
    if path and '://' not in path:
        yield from _check_whole(context, path)


def _check_part(where: str, node: dict, init: dict, is_stream: bool,
                outer: dict | None) -> Iterator[Finding]:
    path = str(init.get('checkpoint'))
    where_file = f'{where}.checkpoint'
    if '://' in path:
        return
    try:
        checkpoint = load_checkpoint_file(path)
    except UserError as error:
        yield _error(where_file, str(error), 'a checkpoint of the same architecture')
        return
    inner, _ = network_config(node)
    module = plain = _build(node, init)
    if outer is not None:
        module = _build({**outer, 'network': {**node, 'init_cfg': dict(init)}})
    elif inner is not node:
        plain = _build(inner)
    if module is None or plain is None:
        return
    try:
        if is_stream and inner.get('in_channels', 3) != 3:
            # Its first convolution takes the weights in another form.
            load_with_repeated_stem(module, init)
            return
        report = check_pretrained(module)
    except UserError as error:
        prefix = init.get('prefix') or ''
        known = _prefixes(checkpoint)
        if prefix and prefix.partition('.')[0] not in known:
            yield _error(f'{where}.prefix', str(error), f'one of {", ".join(known[:5])}')
        else:
            yield _error(where_file, str(error), 'a checkpoint of the same architecture')
        return
    if report is None:
        return
    lacking = _lacking(module, report)
    if lacking:
        yield _error(where_file, f'{path} lacks {len(lacking)} weights of {type(module).__name__}, '
                     f'which would stay random: {summarize(lacking)}',
                     'weights of the same depth and kind of network')
    # The classifier of a whole network is not part of a backbone; a stage too many would be. An
    # attention of the network that another one replaces may be among its weights.
    children = {name for name, _ in module.named_children()}
    strange = [name for name in report.unexpected if name.partition('.')[0] in children
               and name not in plain.state_dict()]
    if strange:
        yield _error(where_file, f'{path} has {len(strange)} weights for which '
                     f'{type(module).__name__} has no place: {summarize(strange)}',
                     'weights of the same depth and kind of network')


def _build(node: dict, init: dict | None = None) -> nn.Module | None:
    """The module alone; None where it only works as a part of its model."""
    try:
        given = {} if init is None else {'init_cfg': dict(init)}
        return MODELS.build({**copy.deepcopy(dict(node)), **given})
    except Exception:
        return None


def _check_whole(context: ConfigContext, path: str) -> Iterator[Finding]:
    try:
        checkpoint = load_checkpoint_file(path)
    except UserError as error:
        yield _error('load_from', str(error), 'an existing checkpoint')
        return
    try:
        model = context.model
    except Exception:
        # A model that cannot be built is for the other checks to tell of.
        return
    report = KeyReport.compare(model.state_dict(), checkpoint)
    if not report.matched:
        yield _error('load_from', f'{path} does not fit the model: {report}',
                     'a checkpoint of this model')
    elif _lacking(model, report) or report.wrong_shape:
        yield Finding('warning', 'weights', 'load_from', f'{path} does not fill the model: '
                      f'{report}; what is lacking starts from its own initialisation',
                      'a checkpoint of this model, unless these parts are new')


def _lacking(module: nn.Module, report: KeyReport) -> list[str]:
    """Missing weights except those of an attention, which may well be new to the network."""
    attentions = [f'{name}.' for name, part in module.named_modules() if hasattr(part, '_abbr_')]
    return [name for name in report.missing if not name.startswith(tuple(attentions))]


def _prefixes(checkpoint: dict) -> list[str]:
    names = checkpoint.get('state_dict', checkpoint)
    return sorted({re.sub(r'^module\.', '', name).partition('.')[0] for name in names})


def _error(where: str, message: str, expected: str) -> Finding:
    return Finding('error', 'weights', where, message, expected)
