"""Projects outside the repository that train with the installed wheel."""
import json

import pytest

from tests.support.samples import draw_classes

SMALL_DATA = """
pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(64, 64), keep_ratio=True),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(
        data_root='shapes/', ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'), metainfo=dict(classes=('circle', 'square', 'triangle')),
        pipeline=pipeline))
val_dataloader = val_evaluator = val_cfg = None
train_cfg = dict(max_epochs=1, val_interval=10)
default_hooks = dict(logger=dict(interval=1))
"""

INHERITS_OUR_DETECTOR = SMALL_DATA + """
_base_ = 'eca_mm::faster_rcnn/faster-rcnn_eca-r50_fpn_4xb2-1x_coco.py'
model = dict(
    backbone=dict(depth=18, init_cfg=None),
    neck=dict(in_channels=[64, 128, 256, 512]),
    roi_head=dict(bbox_head=dict(num_classes=3)))
optim_wrapper = dict(optimizer=dict(lr=0.001))
"""

INHERITS_OUR_CLASSIFIER = """
_base_ = 'eca_mm::eca_resnet/eca-resnet18_4xb64_in1k.py'
model = dict(head=dict(num_classes=3, topk=(1, )))
data_preprocessor = dict(num_classes=3)
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False,
    dataset=dict(_delete_=True, type='CustomDataset', data_root='classes', pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', scale=32),
        dict(type='PackInputs')]))
val_dataloader = val_evaluator = val_cfg = None
train_cfg = dict(max_epochs=2)
param_scheduler = dict(milestones=[1])
default_hooks = dict(logger=dict(interval=1))
"""

USES_THE_PLUGIN_LINE = SMALL_DATA + """
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'
custom_imports = dict(imports=['eca_mm'], allow_failed_imports=False)
model = dict(
    backbone=dict(
        init_cfg=None,
        plugins=[dict(cfg=dict(type='ECALayer'), stages=(False, True, True, True),
                      position='after_conv3')]),
    roi_head=dict(bbox_head=dict(num_classes=3)))
"""


@pytest.fixture(scope='module')
def project(installed, tmp_path_factory):
    """A project's folder with a data set of either kind."""
    folder = tmp_path_factory.mktemp('project')
    installed.run(folder, tools(installed) / 'dataset_tools' / 'make_shapes_coco.py', 'shapes',
                  '--num-train', '4', '--num-val', '1', '--size', '64')
    draw_classes(folder / 'classes')
    return folder


def tools(environment, package='eca_mm'):
    path = environment.run(environment.site_packages, '-c', 'import importlib.util as u; '
                           f'print(u.find_spec({package!r}).submodule_search_locations[0])')
    return type(environment.site_packages)(path.strip()) / '.mim' / 'tools'


def train(environment, project, name, text, tool):
    """Trains a config with a tool; returns what its log says of every iteration."""
    (project / f'{name}.py').write_text(text)
    environment.run(project, tool, f'{name}.py', '--work-dir', name)
    log, = (project / name).glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.slow
def test_detector_that_inherits_ours(installed, project):
    steps = train(installed, project, 'detector', INHERITS_OUR_DETECTOR,
                  tools(installed) / 'train.py')
    assert [step['iter'] for step in steps] == [1, 2]
    assert all(0 < step['loss'] < 100 for step in steps)
    assert (project / 'detector' / 'epoch_1.pth').is_file()
    # The whole config, with our part of it, is kept beside the checkpoints.
    assert "type='ECAResNet'" in (project / 'detector' / 'detector.py').read_text()


@pytest.mark.slow
def test_classifier_that_inherits_ours(installed, project):
    steps = train(installed, project, 'classifier', INHERITS_OUR_CLASSIFIER,
                  tools(installed) / 'train.py')
    assert len(steps) == 6
    assert steps[-1]['lr'] == pytest.approx(0.01)
    assert (project / 'classifier' / 'epoch_2.pth').is_file()


@pytest.mark.slow
def test_plugin_line_with_mmdets_own_train_tool(installed, project):
    steps = train(installed, project, 'plugin', USES_THE_PLUGIN_LINE,
                  tools(installed, 'mmdet') / 'train.py')
    assert [step['iter'] for step in steps] == [1, 2]
    keys = installed.run(
        project, '-W', 'ignore', '-c', 'import eca_mm, sys; from eca_mm.compat import '
        'load_checkpoint_file; print(*load_checkpoint_file(sys.argv[1])["state_dict"])',
        'plugin/epoch_1.pth').split()
    assert 'backbone.layer2.0.eca.conv.weight' in keys
    assert 'backbone.layer1.0.eca.conv.weight' not in keys
