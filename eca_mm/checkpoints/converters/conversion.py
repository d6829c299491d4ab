"""The common part of all converters: weights, their config, and the strict check."""
import copy
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor

from eca_mm.checkpoints.keys import KeyReport, check_fit
from eca_mm.utils.errors import UserError

# What MMPretrain's base configs write although it is the default.
_DEFAULTS = dict(num_stages=4, out_indices=(3, ), style='pytorch')


@dataclass(frozen=True)
class Conversion:
    """Weights in our naming, and the config that they load into strictly.

    Attributes:
        weights (dict[str, Tensor]): The weights.
        names (dict[str, str]): Our name of each weight of the source.
        base (str | None): Path below ``configs/`` of the config that they belong to, or of the one
            that is nearest to it; None for weights that many configs may start from.
        changes (dict): What a config on top of the base has to set; empty if it fits as it is.
        report (KeyReport): The comparison with the model of that config.
        notes (tuple[str, ...]): Further remarks for the user.
    """

    weights: dict
    names: dict
    base: str | None
    changes: dict
    report: KeyReport
    notes: tuple

    def summary(self) -> str:
        """One line with the number of weights by kind."""
        if self.base is not None:
            return f'All {len(self.report.matched)} weights of the model match.'
        head = sum(not name.startswith('backbone.') for name in self.weights)
        return (f'All {len(self.weights)} weights match: {len(self.weights) - head} of the '
                f'backbone, {head or "none"} of the classifier.')

    def config_text(self) -> str:
        """The source of the config, for when none of ours fits unchanged."""
        return Config(dict(_base_=f'eca_mm::{self.base}', **self.changes)).pretty_text


def convert(weights: Mapping[str, Tensor], names: Mapping[str, str], bases: Sequence[str],
            backbone: dict, notes: Sequence[str] = ()) -> Conversion:
    """Rename the weights of a classifier and find the config that they load into strictly.

    Args:
        weights (Mapping[str, Tensor]): The source's state dict.
        names (Mapping[str, str]): Our name of each of its weights.
        bases (Sequence[str]): Configs below ``configs/``, the likeliest first; those that do not
            exist are passed over; on top of the first that does a config is written where none
            fits.
        backbone (dict): Config of the backbone.
        notes (Sequence[str]): Further remarks for the user.

    Returns:
        Conversion: Weights and config.

    Raises:
        MisfitError: If the weights are not exactly those of the model.
        UserError: If no model can be built from what the shapes say.
    """
    renamed = rename(weights, names)
    head = renamed.get('head.fc.weight')
    if head is not None and head.dim() != 2:
        head = None
    chosen = None
    for base in bases:
        config = _load(base)
        if config is not None:
            changes = _changes(config, backbone, head)
            # Where none has this backbone, the likeliest is what a config is written on top of.
            chosen = chosen or (base, changes)
            if 'backbone' not in changes.get('model', {}):
                chosen = base, changes
                break
    if chosen is None:
        raise UserError(f'None of the configs {", ".join(bases)} exists below configs/.')
    base, changes = chosen
    if not any(name.startswith('head.') for name in renamed):
        notes = [*notes, 'The file has no classifier: load it into a backbone, or train a head.']
    return fit(renamed, names, base, changes, notes)


def rename(weights: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Give weights their new names.

    Args:
        weights (Mapping[str, Tensor]): A state dict.
        names (Mapping[str, str]): The new name of each weight.

    Returns:
        dict[str, Tensor]: The weights by their new names.

    Raises:
        UserError: If two weights get the same name.
    """
    renamed = {names[name]: value for name, value in weights.items()}
    if len(renamed) < len(weights):
        raise UserError('Two weights of the checkpoint have one and the same name in our naming: '
                        'it mixes the namings of different code bases.')
    return renamed


def fit(renamed: dict[str, Tensor], names: Mapping[str, str], base: str, changes: dict,
        notes: Sequence[str] = ()) -> Conversion:
    """Make sure that weights in our naming are exactly those of a config's model.

    Args:
        renamed (dict[str, Tensor]): The weights; those of the classifier may be absent.
        names (Mapping[str, str]): Our name of each weight of the source.
        base (str): Path of the config below ``configs/``.
        changes (dict): What is to be set on top of it.
        notes (Sequence[str]): Further remarks for the user.

    Returns:
        Conversion: Weights and config.

    Raises:
        MisfitError: If the weights are not exactly those of the model.
        UserError: If no model can be built from what the shapes say.
    """
    config = _load(base)
    if config is None:
        raise UserError(f'eca_mm has no config {base}: install it with its configs.')
    # A copy: merging takes `_delete_` out, which the written config needs.
    config.merge_from_dict(copy.deepcopy(changes))
    try:
        with DefaultScope.overwrite_default_scope(config.default_scope):
            model = MODELS.build(config.model)
    except (ValueError, TypeError, AssertionError, RuntimeError, ArithmeticError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError('The shapes of the checkpoint\'s weights are those of no network that we '
                        f'can build ({reason.rstrip(".")}); it is damaged or of another kind.'
                        ) from error
    state = model.state_dict()
    if not any(name.startswith('head.') for name in renamed):
        state = {name: value for name, value in state.items() if not name.startswith('head.')}
    report = check_fit(state, renamed, 'The checkpoint is not that of the network it seems to be, '
                       f'{config.model.type} with {config.model.backbone.type}')
    return Conversion(renamed, dict(names), base, changes, report, tuple(notes))


def _load(base: str) -> Config | None:
    """A copy of one of our configs that may be modified; None if the path does not exist."""
    return copy.deepcopy(_read(base))


@functools.cache
def _read(base: str) -> Config | None:
    try:
        return get_config(f'eca_mm::{base}')
    except FileNotFoundError:
        return None


def _changes(config: Config, backbone: dict, head: Tensor | None) -> dict:
    """What to change in a config so that it describes a backbone and a classifier."""
    changes = {}
    theirs = {key: value for key, value in config.model.backbone.to_dict().items()
              if _DEFAULTS.get(key) != value}
    if _plain(theirs) != _plain(backbone):
        changes['model'] = dict(backbone=dict(_delete_=True, **backbone))
    if head is not None:
        classes, channels = head.shape
        if config.model.head.in_channels != channels:
            changes.setdefault('model', {})['head'] = dict(in_channels=channels)
        if config.model.head.num_classes != classes:
            changes.setdefault('model', {}).setdefault('head', {})['num_classes'] = classes
            changes['data_preprocessor'] = dict(num_classes=classes)
    return changes


def _plain(value: object) -> object:
    """Tuples and lists are the same in a config."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
