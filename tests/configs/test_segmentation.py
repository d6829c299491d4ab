"""The segmentors: ECA by MMSegmentation's plugins and by WithAttention, where it is installed."""
import importlib.util
import re
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import PixelData
from PIL import Image

from eca_mm.layers import ECALayer
from tests.support.processes import ROOT, run_tool

FOLDER = ROOT / 'configs/segmentation'
CONFIGS = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob('*/*.py'))
SEGMENTORS = [name for name in CONFIGS if '-plugin_' not in name]
needs_mmseg = pytest.mark.skipif(
    importlib.util.find_spec('mmseg') is None,
    reason="needs the extra 'seg' (mmsegmentation)")


def build(name):
    config = Config.fromfile(FOLDER / name)
    # mmseg's modules are imported before its scope is chosen, as its tools do.
    from mmseg.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    init_default_scope(config.default_scope)
    config.model.data_preprocessor.update(size=(64, 64))
    torch.manual_seed(0)
    return config, revert_sync_batchnorm(MODELS.build(config.model))


def test_all_are_here():
    assert len(CONFIGS) == 6 and len(SEGMENTORS) == 3
    assert {name.replace('-plugin_', '_') for name in CONFIGS} == set(SEGMENTORS)
    for name in CONFIGS:
        stock = re.sub(r'_eca-|-plugin', lambda found: '_' if found[0] == '_eca-' else '', name)
        assert (FOLDER / name).read_text().startswith(f"_base_ = 'mmseg::{stock}'\n")


@needs_mmseg
@pytest.mark.slow
@pytest.mark.parametrize('name', CONFIGS)
def test_one_step(name):
    from mmseg.structures import SegDataSample
    config, model = build(name)
    layers = [part for part in model.backbone.modules() if isinstance(part, ECALayer)]
    assert len(layers) == 16
    before = [layer.conv.weight.detach().clone() for layer in layers]
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(21, (1, 64, 64))))
               for _ in range(2)]
    for sample in samples:
        sample.set_metainfo(dict(img_shape=(64, 64), ori_shape=(64, 64)))
    images = list(torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8))
    losses = model.train().train_step(dict(inputs=images, data_samples=samples),
                                      build_optim_wrapper(model, config.optim_wrapper))
    assert losses['loss'].isfinite() and losses['loss'] > 0
    assert not [i for i, layer in enumerate(layers) if layer.conv.weight.equal(before[i])]


@needs_mmseg
@pytest.mark.slow
@pytest.mark.parametrize('name', SEGMENTORS)
def test_both_ways_are_the_same_network(name):
    _, ours = build(name)
    _, plugin = build(name.replace('-d8_', '-d8-plugin_'))
    assert sorted(ours.state_dict()) == sorted(plugin.state_dict())
    plugin.load_state_dict(ours.state_dict())
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for a, b in zip(ours.eval().backbone(x), plugin.eval().backbone(x), strict=True):
            torch.testing.assert_close(a, b)


@needs_mmseg
@pytest.mark.slow
def test_a_real_picture(coco_root):
    from mmseg.apis import inference_model, init_model
    config = Config.fromfile(FOLDER / SEGMENTORS[0])
    config.test_pipeline[1].scale = (256, 128)
    model = init_model(config, device='cpu')
    picture = sorted((coco_root / 'val2017').glob('*.jpg'))[0]
    result = inference_model(model, str(picture))
    classes = result.pred_sem_seg.data.numpy()
    assert classes.shape[1:] == result.ori_shape
    assert np.isin(classes, range(21)).all()


@needs_mmseg
@pytest.mark.slow
def test_our_tools_train_and_test(coco_root, tmp_path):
    """On a data set in VOC's folders, with real pictures and drawn classes."""
    for folder in ('JPEGImages', 'SegmentationClass', 'SegmentationClassAug',
                   'ImageSets/Segmentation'):
        (tmp_path / 'voc' / folder).mkdir(parents=True)
    pictures = sorted((coco_root / 'val2017').glob('*.jpg'))[:2]
    for picture in pictures:
        shutil.copy(picture, tmp_path / 'voc/JPEGImages')
        classes = np.zeros(Image.open(picture).size[::-1], np.uint8)
        classes[:, :classes.shape[1] // 2] = 3
        for folder in ('SegmentationClass', 'SegmentationClassAug'):
            Image.fromarray(classes).save(tmp_path / 'voc' / folder / f'{picture.stem}.png')
    for split in ('train', 'aug', 'val'):
        (tmp_path / f'voc/ImageSets/Segmentation/{split}.txt').write_text(
            '\n'.join(picture.stem for picture in pictures))
    options = ['model.data_preprocessor.size=(64,64)', 'train_dataloader.batch_size=2',
               'train_cfg.max_iters=1', 'train_cfg.val_interval=1',
               'default_hooks.checkpoint.interval=1']
    for i in range(2):
        part = f'train_dataloader.dataset.datasets.{i}'
        options += [f'{part}.data_root=voc', f'{part}.pipeline.2.scale=(128,64)',
                    f'{part}.pipeline.3.crop_size=(64,64)', f'{part}.pipeline.6.size=(64,64)']
    for split in ('train', 'val', 'test'):
        options += [f'{split}_dataloader.num_workers=0',
                    f'{split}_dataloader.persistent_workers=False']
    for split in ('val', 'test'):
        options += [f'{split}_dataloader.dataset.data_root=voc',
                    f'{split}_dataloader.dataset.pipeline.1.scale=(128,64)']
    config = FOLDER / SEGMENTORS[1]
    trained = run_tool(tmp_path, 'train.py', config, '--work-dir', 'work', '--cfg-options',
                       *options)
    assert trained.returncode == 0, trained.stderr
    assert 'mIoU' in trained.stdout + trained.stderr
    tested = run_tool(tmp_path, 'test.py', config, tmp_path / 'work/iter_1.pth', '--work-dir',
                      'work', '--cfg-options', *options)
    assert tested.returncode == 0, tested.stderr
    assert 'mIoU' in tested.stdout + tested.stderr
