"""The arguments of mmpretrain's backbones, so that editors can show those of ours.

The tests hold these lists against the installed mmpretrain.
"""
from collections.abc import Sequence
from typing import TypedDict

from eca_mm.ops.forms import Fused


class MobileNetV2Arguments(TypedDict, total=False):
    """Arguments of :class:`mmpretrain.models.backbones.MobileNetV2`."""

    widen_factor: float
    out_indices: Sequence[int]
    frozen_stages: int
    conv_cfg: dict | None
    norm_cfg: dict
    act_cfg: dict
    norm_eval: bool
    with_cp: bool
    init_cfg: dict | list[dict] | None


class _ResNetArguments(TypedDict, total=False):
    in_channels: int
    stem_channels: int
    base_channels: int
    expansion: int | None
    strides: Sequence[int]
    dilations: Sequence[int]
    out_indices: Sequence[int]
    style: str
    frozen_stages: int
    conv_cfg: dict | None
    norm_cfg: dict
    norm_eval: bool
    with_cp: bool
    zero_init_residual: bool
    init_cfg: dict | list[dict] | None
    drop_path_rate: float


class ResNetArguments(_ResNetArguments, total=False):
    """Arguments of :class:`mmpretrain.models.backbones.ResNet` except its depth."""

    num_stages: int
    deep_stem: bool
    avg_down: bool


class ECAResNetArguments(_ResNetArguments, total=False):
    """What :class:`~eca_mm.backbones.ECAResNet` hands on."""

    conv2_cfg: dict | Sequence | None
    fused: Fused
    deep_stem: bool
    avg_down: bool


class ResNetDArguments(_ResNetArguments, total=False):
    """What :class:`~eca_mm.backbones.AttentionResNetD` hands on."""

    num_stages: int
    conv2_cfg: dict | Sequence | None
    fused: Fused


class ECAResNetDArguments(_ResNetArguments, total=False):
    """What :class:`~eca_mm.backbones.ECAResNetD` hands on."""

    conv2_cfg: dict | Sequence | None
    fused: Fused
    stage_blocks: Sequence[int] | None
    stem_widths: Sequence[int]
    groups: int
    width_per_group: int
    channels: Sequence | None
    deep_stem: bool
    avg_down: bool


class ECAMobileNetV2Arguments(MobileNetV2Arguments, total=False):
    """What :class:`~eca_mm.backbones.ECAMobileNetV2` hands on."""

    fused: Fused
