"""The averages that enter the attention, and their picture."""
import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from eca_mm.analysis import build_model
from eca_mm.utils.errors import UserError
from eca_mm.visualization.gap_activations import BlockAverages, collect_averages, draw_averages
from eca_mm.visualization.periodicity import measure_periodicity
from tests.support import samples


@pytest.fixture
def model(tmp_path):
    """A model, its config and two pictures."""
    samples.draw_classes(tmp_path / 'classes', images=1)
    config = Config.fromfile(
        samples.write_config(tmp_path / 'c.py', samples.CLASSIFICATION, tmp_path / 'classes'))
    return build_model(config), config, [str(tmp_path / f'classes/{name}/0.png')
                                         for name in ('red', 'blue')]


def test_averages_are_those_of_the_maps_before_the_attention(model):
    network, config, paths = model
    groups = collect_averages(network, config, 'ECA', paths)
    assert [group.block for group in groups] == ['conv_2_1', 'conv_3_1', 'conv_4_2', 'conv_5_2']
    maps = []
    network.backbone.layer4[1].norm2.register_forward_hook(
        lambda module, args, out: maps.append(out.mean((2, 3))[0]))
    for path in paths:
        image = torch.from_numpy(cv2.imread(path)[..., ::-1].copy()).permute(2, 0, 1)
        with torch.no_grad():
            network.backbone((image[None].float() - 128) / 64)
    np.testing.assert_allclose(groups[3].averages, torch.stack(maps), rtol=1e-4, atol=1e-6)
    assert groups[3].agreement == pytest.approx(np.corrcoef(*torch.stack(maps).numpy())[0, 1])
    with pytest.raises(UserError, match='conv_9_9'):
        collect_averages(network, config, 'ECA', paths, ['conv_9_9'])


def test_significant_periods_are_ringed():
    wave = np.sin(np.arange(64) * np.pi / 4)
    noise = np.random.default_rng(1).normal(size=64)
    averages = np.stack([wave, noise])
    found = [measure_periodicity(y, 199) for y in averages]
    assert found[0].period == 8 and found[0].peak_p < .05 < found[1].peak_p
    figure = draw_averages([BlockAverages('A', 'conv_2_1', averages, found)] * 2, ['wave', 'noise'])
    assert len(figure.axes) == 4
    rings = [line for line in figure.axes[1].get_lines() if line.get_marker() == 'o']
    assert [line.get_xdata()[0] for line in rings] == [8]
    np.testing.assert_array_equal(figure.axes[0].get_lines()[0].get_ydata(), wave)
