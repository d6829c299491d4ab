"""Editors and notebooks see the arguments of the backbones."""
import inspect
import typing

import pytest
from mmpretrain.models.backbones import MobileNetV2, ResNet

import eca_mm
from eca_mm.backbones import (
    AttentionMobileNetV2,
    AttentionResNet,
    AttentionResNetD,
    ECAMobileNetV2,
    ECAResNet,
    ECAResNetD,
    arguments,
)

BACKBONES = [AttentionMobileNetV2, AttentionResNet, AttentionResNetD, ECAMobileNetV2, ECAResNet,
             ECAResNetD]


@pytest.mark.parametrize('backbone', BACKBONES)
def test_all_arguments_are_shown(backbone):
    parent = MobileNetV2 if issubclass(backbone, MobileNetV2) else ResNet
    shown = inspect.signature(backbone).parameters
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in shown.values())
    for name, parameter in inspect.signature(parent).parameters.items():
        if name not in ('deep_stem', 'avg_down') or not issubclass(backbone, AttentionResNetD):
            assert shown[name].default == parameter.default
    assert 'fused' in shown


@pytest.mark.parametrize('backbone', BACKBONES)
def test_the_annotation_agrees(backbone):
    """Editors that do not run the code read the annotation of ``**kwargs``."""
    constructor = vars(backbone)['__init__']
    own = constructor.__code__.co_varnames[1:constructor.__code__.co_argcount]
    kwargs, = typing.get_args(constructor.__annotations__['kwargs'])
    assert kwargs.__module__ == arguments.__name__
    assert set(own) | set(kwargs.__annotations__) == set(inspect.signature(backbone).parameters)
    assert not set(own) & set(kwargs.__annotations__)


def test_a_subclass_shows_its_own():
    class Mine(ECAResNet):
        def __init__(self, width):
            super().__init__(18, base_channels=width)

    assert list(inspect.signature(Mine).parameters) == ['width']


def test_layers_and_backbones_import_from_the_top():
    for module in (eca_mm.layers, eca_mm.backbones):
        for name in module.__all__:
            assert getattr(eca_mm, name) is getattr(module, name)
            assert name in eca_mm.__all__
