"""Pipelines that begin with image files."""
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from PIL import Image

from eca_mm.engine.config import load_config
from eca_mm.engine.data_loaders import from_files


@pytest.mark.parametrize('name, orange', [
    ('resnet_cifar/eca-resnet20_8xb16_cifar10', [200, 100, 50]),
    ('eca_resnet/eca-resnet50-k3557_4xb64_in1k', [50, 100, 200])])
def test_colours_are_in_the_order_of_the_data_set(name, orange, tmp_path):
    """CIFAR's images are RGB, which files become too; those of other data sets are BGR."""
    pipeline = load_config(f'configs/{name}.py').test_dataloader.dataset.pipeline
    Image.fromarray(np.full((32, 32, 3), [200, 100, 50], np.uint8)).save(tmp_path / 'a.png')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        sample = Compose(from_files(pipeline))(dict(img_path=str(tmp_path / 'a.png'), gt_label=0))
    assert sample['inputs'].float().mean((1, 2)).tolist() == orange
