"""Every order of imports, each in its own process, gives the same result."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import eca_mm

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


@pytest.fixture(scope='module')
def states():
    """The state after each order; the processes run side by side."""
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    processes = {
        order: subprocess.Popen([sys.executable, '-W', 'ignore', '-c', order + STATE], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**os.environ, 'PYTHONPATH': path})
        for order in (RIGHT, *WRONG.values())}
    states = {}
    for order, process in processes.items():
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        states[order] = json.loads(output.splitlines()[-1])
    return states


def test_the_right_order_is_whole(states):
    state = states[RIGHT]
    assert state['attention'] and state['layer'] and state['same'] and not state['unbound']
    assert all(same for *_, same in state['registered'])


@pytest.mark.parametrize('order', WRONG)
def test_wrong_orders_are_repaired(order, states):
    assert states[WRONG[order]] == states[RIGHT]
