"""Every order of imports, each in its own process, gives the same result."""
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import eca_mm
from tests.support.marks import few_by_default

ROOT = Path(eca_mm.__file__).parents[1]

# What a user can see of the imported packages: registries, names bound in packages, class identity.
STATE = '''
import eca_mm
import json, sys
import mmdet.apis, mmdet.models, mmpretrain.models, mmcv.ops
import mmdet.utils
mmdet.utils.register_all_modules(init_default_scope=False)
import mmdet.registry, mmengine.registry, mmpretrain.registry
from mmengine.registry import Registry

registered, unbound = [], []
for module in (mmengine.registry, mmdet.registry, mmpretrain.registry):
    for name, registry in sorted(vars(module).items()):
        if isinstance(registry, Registry):
            for key, entry in sorted(registry.module_dict.items()):
                # The class that its module holds, not one left over from a failed import.
                home = sys.modules[entry.__module__]
                same = getattr(home, getattr(entry, '__name__', key), entry) is entry
                registered.append([module.__name__, name, key, same])
for name in sorted(sys.modules):
    parent, _, child = name.rpartition('.')
    if name.startswith(('mmcv.', 'mmdet.', 'mmpretrain.')) and not hasattr(
            sys.modules.get(parent), child):
        unbound.append(name)
backbone = mmdet.registry.MODELS.build(dict(type='mmdet.ResNet', depth=18))
print(json.dumps(dict(
    registered=registered,
    unbound=unbound,
    attention=hasattr(sys.modules['mmcv.cnn.bricks.transformer'],
                      'MultiScaleDeformableAttention'),
    layer=mmpretrain.models.utils.ResLayerExtraNorm is not None,
    same=type(backbone) is mmdet.models.backbones.ResNet,
)))
'''


RIGHT = ''
WRONG = {
    'models of mmpretrain first': 'import mmdet, mmcv.cnn, mmpretrain.models',
    'mmdet.apis failed first': '''
try:
    import mmdet.apis
except ImportError:
    pass
import mmpretrain.models
''',
    'several failed first': '''
for name in ('mmcv.ops', 'mmdet.models', 'mmdet.datasets', 'mmdet.engine'):
    try:
        __import__(name)
    except ImportError:
        pass
from mmdet.structures import DetDataSample
''',
}


@cache
def state(order):
    """What a process sees that imports in this order."""
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', order + STATE], text=True,
                          capture_output=True, env={**os.environ, 'PYTHONPATH': path})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_right_order_is_whole():
    right = state(RIGHT)
    assert right['attention'] and right['layer'] and right['same'] and not right['unbound']
    assert all(same for *_, same in right['registered'])


@pytest.mark.slow
@pytest.mark.parametrize('order', few_by_default(WRONG, 1))
def test_wrong_orders_are_repaired(order):
    assert state(WRONG[order]) == state(RIGHT)
