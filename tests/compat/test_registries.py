"""A project with a class that has the name of one of ours, registered before or after."""
import subprocess
import sys

import pytest

from tests.support.marks import few_by_default

PROJECT = '''
import {registry}
from torch import nn
@{registry}.MODELS.register_module()
class CBAM(nn.Module):
    _abbr_ = 'theirs'
    def __init__(self, in_channels, **options):
        super().__init__()
    def forward(self, x):
        return x
'''
CHECK = '''
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.hub import get_config
import eca_mm
from eca_mm.layers import CBAM as Ours
scope = {scope!r}
if scope:
    DefaultScope.get_instance('test', scope_name=scope)
theirs = MODELS.build(dict(type='CBAM', in_channels=64))
assert type(theirs).__module__ == 'project', type(theirs)
assert type(MODELS.build(dict(type='eca_mm.CBAM', in_channels=64))) is Ours
assert type(MODELS.build(dict(type='{root}.CBAM', in_channels=64))).__module__ == 'project'
config = get_config('eca_mm::cbam_resnet/cbam-resnet18_4xb64_in1k.py')
assert config.model.backbone.attention.type == 'CBAM'
with DefaultScope.overwrite_default_scope('mmpretrain'):
    model = MODELS.build(config.model)
kinds = {{type(block.attention) for stage in (1, 2, 3, 4)
         for block in getattr(model.backbone, f'layer{{stage}}')}}
assert kinds == {{Ours}}, kinds
# Theirs in our backbone, and in a stock one of mmdet's.
backbone = MODELS.build(dict(type='AttentionResNet', depth=18,
                             attention=dict(type='{root}.CBAM')))
assert type(backbone.layer1[0].attention).__module__ == 'project'
from mmdet.models import ResNet
for name, expected in (('CBAM', 'project'), ('eca_mm.CBAM', 'eca_mm.layers.cbam')):
    resnet = ResNet(50, plugins=[dict(cfg=dict(type=name), position='after_conv3')])
    block = resnet.layer1[0]
    assert type(getattr(block, block.after_conv3_plugin_names[0])).__module__ == expected
'''


@pytest.mark.slow
@pytest.mark.parametrize('first', few_by_default(['project', 'eca_mm'], 0))
@pytest.mark.parametrize(('registry', 'scope'), few_by_default(
    [('mmengine.registry', None), ('mmdet.registry', 'mmdet')], 1))
def test_a_class_of_the_same_name(tmp_path, first, registry, scope):
    (tmp_path / 'project.py').write_text(PROJECT.format(registry=registry))
    imports = ['import project', 'import eca_mm']
    code = '\n'.join(imports if first == 'project' else imports[::-1]) + CHECK.format(
        scope=scope, root=scope or 'mmengine')
    result = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True,
                            text=True)
    assert result.returncode == 0, result.stderr[-2000:]


def test_two_projects_still_collide():
    from mmengine.registry import Registry
    registry = Registry('test')
    registry.register_module(name='A', module=dict)
    with pytest.raises(KeyError, match='already registered'):
        registry.register_module(name='A', module=list)


def test_our_names_are_ours_without_other_projects():
    from mmengine.registry import HOOKS, MODELS, TRANSFORMS

    from eca_mm.datasets import LoadImage
    from eca_mm.engine import StopOnInvalidLossHook
    from eca_mm.layers import SELayer
    for registry, cls in ((MODELS, SELayer), (TRANSFORMS, LoadImage),
                          (HOOKS, StopOnInvalidLossHook)):
        assert registry.get(cls.__name__) is registry.get(f'eca_mm.{cls.__name__}') is cls
    assert HOOKS.get('StopOnInvalidLoss') is StopOnInvalidLossHook
