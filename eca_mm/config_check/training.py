"""Learning rate, frozen stages and batch normalisation against the batch and the weights."""
import copy
from collections.abc import Iterator
from typing import Any

from mmdet.datasets import ReIDDataset
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import nn

from eca_mm.backbones.with_attention import network_config
from eca_mm.datasets.pipelines import walk
from eca_mm.engine.variables import ancestors
from eca_mm.utils.signatures import arguments

from .context import ConfigContext, Finding, has_pretrained
from .lookup import find

# From so few images a GPU, BN's statistics cost accuracy ("Group Normalization", ECCV 2018).
SMALL_BATCH = 4
# Without trained weights there are no better statistics to keep, and BN still learns with four.
TINY_BATCH = 3


def check(context: ConfigContext) -> Iterator[Finding]:
    """Check how training would behave with this batch size and these weights.

    Args:
        context (ConfigContext): The config.

    Yields:
        Finding: A learning rate for another batch, random weights that would stay, and
        statistics of too few images.
    """
    config = context.config
    if not config.get('train_dataloader') or not config.get('optim_wrapper'):
        return
    yield from _check_rate(context)
    backbone = config.model.get('backbone')
    if isinstance(backbone, dict):
        network, where = network_config(backbone, 'model.backbone')
        trained = context.starts_from_weights or any(map(has_pretrained, (backbone, network)))
        yield from _check_frozen(context, network, where, trained)
    yield from _check_normalisation(context)


def _check_rate(context: ConfigContext) -> Iterator[Finding]:
    config, batch = context.config, context.batch_size
    scale = config.get('auto_scale_lr') or {}
    base = scale.get('base_batch_size')
    if not base or not batch:
        return
    steps = config.optim_wrapper.get('accumulative_counts', 1)
    total = context.gpus * batch * steps
    product = f'{context.gpus} GPUs x {batch} images' + (
        f' x {steps} accumulated batches' if steps > 1 else '') + f' = {total}'
    rate = (config.optim_wrapper.get('optimizer') or {}).get('lr')
    where = 'optim_wrapper.optimizer.lr'
    if scale.get('enable'):
        if steps > 1:
            yield Finding(
                'error', 'lr', 'auto_scale_lr.enable', 'mmengine scales the learning rate by GPUs '
                f'x batch and leaves out accumulated batches: {product}',
                f'enable=False and lr={_scaled(rate, total / base)}')
    elif total != base and not _is_own_rate(config, base):
        right = _scaled(rate, total / base)
        yield Finding(
            'error', 'lr', where, f'the learning rate {rate} is meant for batches of {base}, but '
            f'the run has {product}' + ('' if context.knows_gpus else ' (--gpus N for a run on N)'),
            f'{right} (or --auto-scale-lr)' if steps == 1 else right)


def _is_own_rate(config: Config, base: int) -> bool:
    """Whether the learning rate or the optimizer differs from those inherited with that batch size.

    What ``auto_scale_lr`` says is meant for the rate that it came with, not for a rate that the
    config chose for itself.
    """
    def rate(settings: Config) -> tuple:
        optimizer = (settings.get('optim_wrapper') or {}).get('optimizer') or {}
        return optimizer.get('type'), optimizer.get('lr')

    return any((found.get('auto_scale_lr') or {}).get('base_batch_size') == base
               and found.get('optim_wrapper') and rate(found) != rate(config)
               for found in ancestors(config.filename))


def _scaled(rate: float | None, ratio: float) -> str:
    return f'{rate * ratio:.6g}' if isinstance(rate, (int, float)) else f'{ratio:.6g} times it'


def _check_frozen(context: ConfigContext, backbone: dict, where: str,
                  trained: bool) -> Iterator[Finding]:
    if trained:
        return
    frozen = _value(context, backbone, 'frozen_stages')
    if isinstance(frozen, int) and frozen >= 0 and _freezes(backbone):
        yield Finding(
            'error', 'frozen', f'{where}.frozen_stages', f'frozen_stages is {frozen}, but '
            'neither init_cfg nor load_from names trained weights: random ones would stay as they '
            'are', 'frozen_stages=-1, or trained weights')
    if _value(context, backbone, 'norm_eval') is True and _keeps_statistics(backbone):
        yield Finding(
            'warning', 'frozen', f'{where}.norm_eval', 'norm_eval is True without trained '
            'weights: BN keeps mean 0 and variance 1, and so does not normalise',
            'norm_eval=False, or trained weights')


def _freezes(backbone: dict) -> bool:
    """Whether anything is frozen: with 0, a ResNet's stem is, and nothing of a DenseNet."""
    built = _in_training(backbone)
    return built is None or any(not p.requires_grad for p in built.parameters())


def _keeps_statistics(backbone: dict) -> bool:
    """Whether BN keeps its statistics: a Conformer has the switch without any effect."""
    built = _in_training(backbone)
    return built is None or any(isinstance(module, _BatchNorm) and not module.training
                                for module in built.modules())


def _in_training(backbone: dict) -> nn.Module | None:
    """The backbone as it is trained; None for settings that the other checks tell of."""
    try:
        built = MODELS.build(copy.deepcopy(dict(backbone)))
        # Returns nothing in mmdet's backbones.
        built.train()
    except Exception:
        return None
    return built


def _check_normalisation(context: ConfigContext) -> Iterator[Finding]:
    batch = context.batch_size
    if any(isinstance(data.built, ReIDDataset) for data in context.of('train')):
        # Each of its samples is a batch of images.
        return
    for where, node in walk(context.config.model, 'model'):
        kind = find(node.get('type'), MODELS, node.get('_scope_') or context.scope)
        # The heads of RoIs have hundreds of those to an image.
        if kind is None or where == 'model' or 'roi_head' in where.split('.') or (
                _value(context, node, 'norm_eval') is True):
            continue
        norm = _value(context, node, 'norm_cfg')
        if not isinstance(norm, dict) or norm.get('type') not in ('BN', 'BN2d', 'BatchNorm2d'):
            continue
        trained = context.starts_from_weights or has_pretrained(node)
        if batch and batch <= (SMALL_BATCH if trained else TINY_BATCH):
            has_switch = 'norm_eval' in arguments(kind)[0]
            yield Finding(
                'warning', 'bn', f'{where}.norm_eval' if has_switch else f'{where}.norm_cfg',
                f'BN normalises by the statistics of {batch} images per GPU',
                ('norm_eval=True, ' if has_switch and trained else '')
                + "norm_cfg=dict(type='SyncBN') on several GPUs, or dict(type='GN', num_groups=32)")


def _value(context: ConfigContext, node: dict, key: str) -> Any:
    """An argument of a module: the config's, else its constructor's default."""
    if key in node:
        return node[key]
    kind = find(node.get('type'), MODELS, node.get('_scope_') or context.scope)
    parameter = arguments(kind)[0].get(key) if kind else None
    return None if parameter is None else parameter.default
