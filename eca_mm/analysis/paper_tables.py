"""Parameters and FLOPs of the paper's tables, recomputed from our configs."""
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope

from eca_mm.backbones.attention_block import AttentionBlock
from eca_mm.datasets.pipelines import pipelines

from .complexity import build_model, count_parameters
from .paper_counting import (
    DETECTION,
    IMAGENET,
    IMAGENET_WITHOUT_RELU,
    PLAIN,
    background_class_cost,
    count_operations,
    total,
)
from .uninitialised import WithoutInitialisation

TABLES = (2, 3, 4, 5, 6, 7)

# Parameters of one attention for C channels, as Table 2 prints them; r = 16 and k = 3.
_FORMULAS: dict[str, Callable[[int], int]] = {
    '0': lambda c: 0, '2*C^2/r': lambda c: 2 * c**2 // 16, 'C': lambda c: c,
    'C^2': lambda c: c**2, 'C^2/16': lambda c: c**2 // 16, '16*C': lambda c: 16 * c,
    '8*C': lambda c: 8 * c, 'k*C': lambda c: 3 * c, 'k=3': lambda c: 3}


@dataclass(frozen=True)
class Measured:
    """The parameters and operations of a config's model.

    Attributes:
        params (int): Number of parameters.
        trainable (int): Number of parameters that require a gradient.
        counts (dict[str, int]): Number of operations of one image by kind.
        background_params (int): Parameters that MMDetection 1.x had beyond these.
        background_counts (dict[str, int]): Operations that MMDetection 1.x had beyond these.
        attentions (tuple[tuple[int, int], ...]): Output channels of every block of our ResNets
            and the parameters of its attention.
    """

    params: int
    trainable: int
    counts: dict[str, int]
    background_params: int
    background_counts: dict[str, int]
    attentions: tuple[tuple[int, int], ...]


def load_figures() -> dict:
    """Read what the paper prints.

    Returns:
        dict: ``table2`` ... ``table7``, each with ``title``, ``digits`` and ``rows``; a row has
        the name of its config, the printed figures and how they were counted.
    """
    return yaml.safe_load(Path(__file__).with_name('paper_figures.yml').read_text('utf-8'))


def input_shape(cfg: Config) -> tuple[int, int]:
    """The input size that the paper counts a config at.

    Args:
        cfg (Config): Config of a classifier or detector.

    Returns:
        tuple[int, int]: Height and width in pixels: 800 x 1280 for detectors, the test crop for
        classifiers, or the crop in training for those that test whole images (CIFAR).

    Raises:
        ValueError: If a classifier's pipelines crop to no fixed size.
    """
    if cfg.get('default_scope') == 'mmdet':
        return 800, 1280
    for loader in ('test_dataloader', 'train_dataloader'):
        for _, steps in pipelines(cfg.get(loader)):
            for step in steps:
                if step.get('type') in ('CenterCrop', 'EfficientNetCenterCrop', 'RandomCrop'):
                    crop = step['crop_size']
                    if isinstance(crop, int):
                        return crop, crop
                    # mmcv's centre crop is given as width and height, the other the way round.
                    first, second = crop
                    return (second, first) if step['type'] == 'CenterCrop' else (first, second)
    raise ValueError('the pipelines of test_dataloader and train_dataloader have neither a '
                     'CenterCrop nor a RandomCrop: the input size of the model is not known')


def recompute(table: int, name: str) -> dict:
    """Recompute one row.

    Args:
        table (int): Number of the table, 2 to 7.
        name (str): Name of the row, e.g. ``'ResNet-50/ECA-Net'``.

    Returns:
        dict: ``params`` and ``flops`` of the config (all parameters; multiply-adds as the
        metafiles count them), the same in the paper's convention and unit
        (``params_paper_unit``, ``flops_paper_unit``), what is printed (``printed_params``,
        ``printed_flops``; None where nothing is) and whether it agrees within the printed digits
        (``params_agree``, ``flops_agree``). Table 2 counts the parameters of the attentions alone;
        ``printed_params`` is the printed formula and ``expected_params`` its value for all blocks.
        Mask R-CNN also has ``flops_deconv_once``: FLOPs with the mask head's transposed
        convolution charged once per input position instead of once per output position.
    """
    figures = load_figures()[f'table{table}']
    row = figures['rows'][name]
    measured = measure(row['config'], **row.get('set', {}))
    result = dict(
        config=row['config'], params=measured.params, flops=total(measured.counts, PLAIN),
        printed_params=row.get('params'), printed_flops=row.get('flops'))
    result['params_paper_unit'] = _paper_params(measured, table, row.get('count'))
    result['flops_paper_unit'] = _paper_flops(measured, table, row.get('count'))
    expected = result['printed_params']
    if table == 2:
        formula = _FORMULAS[row['formula']]
        result['printed_params'] = row['formula']
        expected = sum(formula(channels) for channels, _ in measured.attentions)
        result['expected_params'] = expected
    if 'deconv' in measured.counts:
        once = measured.counts['deconv'] - measured.counts['deconv_outputs']
        result['flops_deconv_once'] = result['flops_paper_unit'] + once / 1e9
    digits = figures['digits']
    result['params_agree'] = _agree(result['params_paper_unit'], expected, digits['params'])
    # MobileNetV2's FLOPs are printed in M, with one decimal.
    result['flops_agree'] = _agree(result['flops_paper_unit'], result['printed_flops'],
                                   4 if row.get('count') == 'mobile' else digits['flops'])
    return result | {key: row.get(key) for key in ('copied', 'reason', 'count')}


@cache
def measure(config: str, **options) -> Measured:
    """Build a config's model and count.

    Args:
        config (str): Path of the config below ``configs/``, without ``.py``.
        **options: Overrides of the config by dotted key.

    Returns:
        Measured: The figures.
    """
    cfg = get_config(f'eca_mm::{config}.py')
    cfg.merge_from_dict(options)
    # Rows of both code bases follow each other; without this, mmengine warns of every change.
    # Only shapes are counted.
    with DefaultScope.overwrite_default_scope(cfg.default_scope), WithoutInitialisation():
        model = build_model(cfg)
    attentions = tuple(
        (block.out_channels, _attention_params(block)) for block in model.backbone.modules()
        if isinstance(block, AttentionBlock))
    return Measured(*count_parameters(model), count_operations(model, input_shape(cfg)),
                    *background_class_cost(model), attentions)


def _attention_params(block: AttentionBlock) -> int:
    name = block.attention_name
    return 0 if name is None else count_parameters(getattr(block, name))[0]


def _paper_params(measured: Measured, table: int, count: str | None) -> float:
    if table == 2:
        return sum(params for _, params in measured.attentions)
    if count in ('decimal', 'plain'):
        return measured.params / 1e6
    if table in (5, 6):
        return (measured.trainable + measured.background_params) / 1e6
    return measured.params / 2**20


def _paper_flops(measured: Measured, table: int, count: str | None) -> float:
    if count == 'plain':
        return total(measured.counts, PLAIN) / 1e9
    if table in (5, 6):
        return (total(measured.counts, DETECTION)
                + total(measured.background_counts, DETECTION)) / 1e9
    convention = IMAGENET_WITHOUT_RELU if table == 7 else IMAGENET
    return total(measured.counts, convention) / (1000 * 2**20 if count == 'mobile' else 2**30)


def _agree(value: float, printed: float | None, digits: int) -> bool | None:
    # The slack is for what 0.5 is not in binary.
    return None if printed is None else abs(value - printed) <= 0.5 * 10**-digits + 1e-9
