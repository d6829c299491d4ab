"""The networks that the benchmark compares, by name, with the same weights wherever they can."""
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from mmdet.models.detectors.base import BaseDetector
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from eca_mm.analysis.complexity import build_model
from eca_mm.backbones.folding import to_inference_form
from eca_mm.deploy import fuse
from eca_mm.engine.config import load_config, scope
from eca_mm.utils.errors import UserError

from .timm_networks import TimmResNet, fold

# How a network's name ends, and what that means.
FORMS = {'': 'the form that is trained', 'unfused': 'the same without the fused tail',
         'folded': 'BN folded', 'fused': 'the inference form',
         'accelerated': 'the form that is trained, in Triton kernels on CUDA',
         'fused_accelerated': 'the inference form, in Triton kernels on CUDA'}

_TRAINED, _INFERRED = ('', 'unfused', 'accelerated'), ('', 'fused', 'fused_accelerated')


@dataclass(frozen=True)
class BenchmarkEntry:
    """One entry of the comparison.

    Attributes:
        name (str): Its name in the results.
        network (str): A key of ``NETWORKS``, the path of a config, or ``eca_mm::`` and the path of
            one of ours below ``configs/``.
        form (str): A key of ``FORMS``.
        without_attention (bool): Whether the config's attention is left out.
    """

    name: str
    network: str
    form: str = ''
    without_attention: bool = False

    def reference(self, training: bool) -> 'BenchmarkEntry':
        """The entry that this one is compared with.

        Args:
            training (bool): Whether training steps are measured rather than inference.

        Returns:
            BenchmarkEntry: The network without attention; for inference with its BN folded.
        """
        form, suffix = ('', '') if training else ('folded', '_folded')
        if self.network in NETWORKS:
            plain = NETWORKS[self.network].plain
            return BenchmarkEntry(plain + suffix, plain, form)
        return BenchmarkEntry(f'{Path(self.network).stem}_plain{suffix}', self.network, form, True)


class Network(NamedTuple):
    """A network that is known by name.

    Attributes:
        config (str): Its config below ``configs/``, without ``.py``; empty for timm's.
        plain (str): Name of the same network without attention.
    """

    config: str
    plain: str


def _networks() -> dict[str, Network]:
    known: dict[str, Network] = {}
    for depth in (18, 34, 50, 101, 152):
        for kind in ('', 'eca', 'se'):
            folder, name = (f'{kind}_resnet', f'{kind}-resnet') if kind else ('resnet', 'resnet')
            plain = f'resnet{depth}'
            known[f'{folder}{depth}'] = Network(f'{folder}/{name}{depth}_4xb64_in1k', plain)
            known[f'timm_{kind}resnet{depth}'] = Network('', plain)
    for name, config in (('', 'mobilenet_v2/'), ('eca_', 'eca_mobilenet_v2/eca-'),
                         ('se_', 'mobilenet_v2/se-')):
        known[f'{name}mobilenet_v2'] = Network(f'{config}mobilenet-v2_4xb24_in1k', 'mobilenet_v2')
    for detector in ('faster_rcnn', 'mask_rcnn', 'retinanet'):
        for backbone in ('r50', 'r101'):
            for kind in ('', 'eca-', 'se-'):
                file = f'{detector.replace("_", "-")}_{kind}{backbone}_fpn_4xb2-1x_coco'
                known[f'{detector}_{kind.replace("-", "_")}{backbone}'] = Network(
                    f'{detector}/{file}', f'{detector}_{backbone}')
    return known


NETWORKS = _networks()


def _groups(pattern: str, text: str) -> tuple[str, ...]:
    match = re.fullmatch(pattern, text, re.S)
    return match.groups('') if match else (text, '')


def parse_entry(text: str, training: bool) -> BenchmarkEntry:
    """Find an entry by name.

    Args:
        text (str): A key of ``NETWORKS`` and ``_<form>``, or a config file and ``:<form>``; without
            a form, the one that is trained.
        training (bool): Whether it is to be trained.

    Returns:
        BenchmarkEntry: What is meant.

    Raises:
        UserError: If there is no such network, or no such form of it.
    """
    # The colon of a form, not those of eca_mm::FOLDER/NAME.py.
    network, form = _groups(r'(.+?)(?<!:)(?::(?!:)(\w*))?', text)
    forms: tuple[str, ...]
    if network.endswith(('.py', '.yml', '.yaml', '.json')):
        forms = _TRAINED if training else _INFERRED
        entry = BenchmarkEntry(Path(network).stem + (form and f'_{form}'), network, form)
    else:
        network, form = _groups(
            r'(.+?)(?:_(folded|unfused|(?:fused_)?accelerated|fused))?', text)
        if network not in NETWORKS:
            raise UserError(f'There is no network {text!r}; give the path of a config or one of '
                            f'{", ".join(sorted(NETWORKS))}.')
        ours = NETWORKS[network].config and network != NETWORKS[network].plain
        if training:
            forms = _TRAINED if ours else ('', )
        else:
            forms = _INFERRED if ours else ('', 'folded')
            if network == NETWORKS[network].plain:
                forms = ('', 'folded', 'fused')
        entry = BenchmarkEntry(text, network, form)
    if form not in forms:
        what = ' and '.join(repr(f) if f else 'none' for f in forms)
        raise UserError(f'{text} cannot be measured in this mode, where the forms of this network '
                        f'are {what}.')
    return entry


class WeightPool:
    """Random weights that all networks of a run have in common, by name and shape."""

    def __init__(self) -> None:
        self._weights: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    @torch.no_grad()
    def share(self, model: nn.Module, names: dict[str, str]) -> None:
        """Give a network the weights that an earlier one had, and keep those that are new.

        Args:
            model (nn.Module): A network; its weights change.
            names (dict[str, str]): The name under which each of its weights is known.
        """
        for name, value in model.state_dict().items():
            # A linear layer may be a 1x1 convolution elsewhere.
            key = names[name], tuple(n for n in value.shape if n > 1)
            value.copy_(self._weights.setdefault(key, value.clone()).view_as(value))


def build_entry(entry: BenchmarkEntry, pool: WeightPool, all_levels: bool = False) -> nn.Module:
    """Build a network in the form that is to be measured.

    Args:
        entry (BenchmarkEntry): Which.
        pool (WeightPool): Where its weights come from.
        all_levels (bool): Whether a classifier ends with the maps of its four stages, as in a
            detector, instead of class scores. Defaults to False.

    Returns:
        nn.Module: A detector, or a module from images (N, 3, H, W) to scores or maps; in
        evaluation mode.

    Raises:
        ImportError: If it is timm's, and timm is not installed.
    """
    if entry.network.startswith('timm_'):
        kind, depth = _groups(r'timm_(eca|se|)resnet(\d+)', entry.network)
        model = TimmResNet(int(depth), kind, all_levels)
        known_as, to_inference = model.our_names(), fold
    else:
        config = _config(entry)
        with DefaultScope.overwrite_default_scope(scope(config)):
            if all_levels and scope(config) != 'mmdet':
                backbone = config.model.backbone
                backbone.out_indices = (1, 2, 4, 7) if 'Mobile' in backbone.type else (0, 1, 2, 3)
            model = build_model(config)
        known_as = {name: name for name in model.state_dict()}
        # Folding alone leaves the memory format as it is.
        to_inference = {'folded': to_inference_form,
                        'fused_accelerated': partial(fuse, fused=True)}.get(entry.form, fuse)
    _randomize(model)
    pool.share(model, known_as)
    if all_levels and to_inference is not fold and not isinstance(model, BaseDetector):
        model = model.backbone
    inferred = ('folded', 'fused', 'fused_accelerated')
    return to_inference(model) if entry.form in inferred else model


def _config(entry: BenchmarkEntry) -> Config:
    if entry.network in NETWORKS:
        config = get_config(f'eca_mm::{NETWORKS[entry.network].config}.py')
    else:
        config = load_config(entry.network)
    backbone = config.model.backbone
    if entry.form in ('unfused', 'accelerated'):
        backbone.fused = entry.form == 'accelerated'
    if entry.without_attention:
        for key in ('attention', 'kernel_size', 'plugins', 'conv2_cfg'):
            backbone.pop(key, None)
        backbone.type = re.sub('^ECA', 'Attention', backbone.type)
    return config


@torch.no_grad()
def _randomize(model: nn.Module) -> None:
    """Random statistics: with those of a new network, skipping normalisations changes nothing."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
            for value, low, high in ((module.weight, .1, .3), (module.bias, -.2, .2),
                                     (module.running_mean, -.2, .2), (module.running_var, .5, 1.5)):
                value.uniform_(low, high, generator=generator)
    model.eval()
