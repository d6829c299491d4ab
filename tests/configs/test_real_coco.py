"""The ECA detectors on real COCO images, through the command lines, as the README describes it."""
import re

import pytest
import torch

from eca_mm.analysis import build_model
from tests.support.catalog import load
from tests.support.processes import ROOT, run_tool
from tests.support.real_coco import iterations, options

DETECTORS = ['faster_rcnn/faster-rcnn_eca-r50_fpn_4xb2-1x_coco.py',
             'mask_rcnn/mask-rcnn_eca-r50_fpn_4xb2-1x_coco.py',
             'retinanet/retinanet_eca-r50_fpn_4xb2-1x_coco.py']


@pytest.mark.slow
@pytest.mark.parametrize('name', DETECTORS)
def test_train_resume_and_test(name, coco_root, tmp_path):
    config = load(name)
    backbone = config.model.backbone
    weights = tmp_path / backbone.init_cfg.checkpoint
    weights.parent.mkdir()
    classifier = load('eca_resnet/eca-resnet50_4xb64_in1k.py')
    classifier.model.backbone.kernel_size = backbone.kernel_size
    classifier = build_model(classifier)
    classifier.init_weights()
    torch.save(dict(state_dict=classifier.state_dict()), weights)

    changes = options(name, coco_root, tmp_path)
    arguments = [ROOT / 'configs' / name, '--work-dir', 'work', '--cfg-options', *changes]
    trained = run_tool(tmp_path, 'train.py', *arguments, *iterations(2))
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / 'work/iter_2.pth').is_file()

    resumed = run_tool(tmp_path, 'train.py', *arguments, *iterations(3), '--resume')
    assert resumed.returncode == 0, resumed.stderr
    assert re.search(r'resumed .*iter: 2', resumed.stdout)
    checkpoint = tmp_path / 'work/iter_3.pth'
    state = torch.load(checkpoint, map_location='cpu', weights_only=False)['state_dict']
    # Frozen weights are those of the classifier; the others have learned (in a branch that starts
    # at zero, only its last BN does so at first).
    before = classifier.backbone.state_dict()
    for key, same in (('layer1.0.bn3.weight', True), ('layer1.0.eca.conv.weight', True),
                      ('layer2.0.bn3.weight', False)):
        assert torch.equal(state[f'backbone.{key}'], before[key]) == same

    tested = run_tool(tmp_path, 'test.py', ROOT / 'configs' / name, checkpoint, '--out', 'p.pkl',
                      '--work-dir', 'work', '--cfg-options', *changes)
    assert tested.returncode == 0, tested.stderr
    tables = tested.stdout.count('Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all')
    assert tables == (2 if name.startswith('mask') else 1)
    assert (tmp_path / 'p.pkl').is_file()
