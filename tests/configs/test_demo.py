"""The small studies of configs/demo on real images (the demo: tests/tools/test_demo_shapes.py)."""
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

from eca_mm.compat import load_checkpoint_file
from eca_mm.visualization.gates import gates_of
from tests.support.catalog import ROOT
from tests.support.processes import run_tool

DEMO = ROOT / 'configs' / 'demo'


@pytest.mark.slow
def test_detector_on_eight_coco_images(tmp_path, coco_root):
    config = DEMO / 'faster-rcnn_eca-r18_fpn_1xb4_coco8.py'
    trained = run_tool(tmp_path, 'train.py', config, '--work-dir', 'work', '--cfg-options',
                       'train_cfg.max_iters=1', ECA_MM_COCO_ROOT=str(coco_root))
    assert trained.returncode == 0, trained.stderr
    tested = run_tool(tmp_path, 'test.py', config, 'work/iter_1.pth', '--cfg-options',
                      'model.test_cfg.rcnn.score_thr=0', ECA_MM_COCO_ROOT=str(coco_root))
    assert tested.returncode == 0, tested.stderr
    # These eight and no others are evaluated.
    assert 'Iter(test) [8/8]    coco/bbox_mAP: 0.0' in tested.stdout


def test_classifier_on_imagenet_folders(tmp_path, imagenet_root):
    result = run_tool(
        tmp_path, 'train.py', DEMO / 'eca-mobilenet-v2_1xb32-10e_imagenet200.py', '--work-dir',
        'work', '--cfg-options', 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=2',
        'train_dataloader.dataset.indices=4', 'val_dataloader.dataset.indices=2',
        ECA_MM_IMAGENET_ROOT=str(imagenet_root))
    assert result.returncode == 0, result.stderr
    assert 'accuracy/top1' in result.stdout
    weights = load_checkpoint_file(tmp_path / 'work' / 'epoch_1.pth')['state_dict']
    gates = [value for name, value in weights.items() if name.endswith('eca.conv.weight')]
    # They start at exactly zero and learn.
    assert len(gates) == 17 and all(0 < value.abs().max() < 0.01 for value in gates)


@pytest.mark.parametrize('attention, multiple', [('eca', 100), ('se', 10)])
def test_halves_of_a_comparison_differ_in_their_attention_alone(attention, multiple):
    config = Config.fromfile(DEMO / f'{attention}-mobilenet-v2_1xb32-20e_imagenet200.py')
    init_default_scope('mmpretrain')
    model = MODELS.build(config.model)
    model.init_weights()
    model.eval()
    # Gates near 0.5 leave a pretrained network as it is.
    gates = gates_of(model, [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)])
    assert len(gates) == 17
    assert all((weights - .5).abs().max() < .01 for _, weights in gates.values())
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    rates = {id(p): group['lr'] for group in optimizer.param_groups for p in group['params']}
    for name, parameter in model.named_parameters():
        factor = multiple if f'.{attention}.' in name else 4 if name.startswith('head') else 1
        assert rates[id(parameter)] == pytest.approx(5e-4 * factor), name
    other = Config.fromfile(DEMO / 'eca-mobilenet-v2_1xb32-10e_imagenet200.py')
    assert config.train_dataloader == other.train_dataloader
    assert (config.train_cfg.max_epochs, config.param_scheduler[1].T_max) == (20, 20)
