"""Accuracy against cost: the paper's models and the user's runs."""
import json

import pytest
from mmengine.config import Config

from eca_mm.analysis.paper_tables import input_shape
from eca_mm.utils.errors import UserError
from eca_mm.visualization.bubbles import draw_bubbles, paper_bubbles, run_bubble
from eca_mm.visualization.runs import read_run
from tests.support.logs import CLASSIFIER, write_start


def test_models_of_the_paper_have_our_costs_and_its_accuracies():
    bubbles = {(b.backbone, b.family): b for b in paper_bubbles(
        ['ResNet-50', 'ResNet-101', 'ResNet-152', 'ResNet-18', 'MobileNetV2'])}
    eca = bubbles['ResNet-50', 'ECA-Net']
    assert (eca.params, eca.flops, eca.accuracy) == (25_557_112, 4_117_118_208, 77.48)
    assert bubbles['ResNet-50', 'A2-Nets'].params == 32_905_256
    assert bubbles['ResNet-18', 'ECA-Net'].source == 'Table 7'
    assert ('MobileNetV2', 'SENet') in bubbles
    with pytest.raises(UserError, match="'ResNet-51'; choose from ResNet-50"):
        paper_bubbles(['ResNet-51'])


def test_areas_are_proportional_to_flops(tmp_path):
    bubbles = paper_bubbles(['ResNet-50', 'ResNet-101'])
    ax, = draw_bubbles(bubbles).axes
    drawn = {tuple(c.get_offsets()[0].round(6)): c.get_sizes()[0]
             for c in ax.collections if len(c.get_offsets()) == 1 and c.get_sizes()[0] > 3}
    ratios = {drawn[round(b.params / 1e6, 6), b.accuracy] / b.flops for b in bubbles}
    assert max(ratios) == pytest.approx(min(ratios))


def test_run_is_measured_at_its_crop(tmp_path):
    write_start(tmp_path / 'run', 1, CLASSIFIER, [
        dict(lr=.1, loss=1., step=5), {'accuracy/top1': 30., 'step': 1},
        dict(lr=.1, loss=1., step=10), {'accuracy/top1': 20., 'step': 2}])
    run = read_run(str(tmp_path / 'run'))
    last, best = run_bubble(run, 'mine'), run_bubble(run, 'mine', best=True)
    assert (last.family, last.accuracy, best.accuracy) == ('mine', 20, 30)
    larger = json.loads(json.dumps(CLASSIFIER).replace('"crop_size": 32', '"crop_size": 64'))
    write_start(tmp_path / 'larger', 1, larger, [
        dict(lr=.1, loss=1., step=5), {'accuracy/top1': 30., 'step': 1}])
    assert 3.5 < run_bubble(read_run(str(tmp_path / 'larger')), 'mine').flops / last.flops < 4.5


@pytest.mark.parametrize(('loaders', 'shape'), [
    ({'test': ('CenterCrop', 64), 'train': ('RandomCrop', 32)}, (64, 64)),
    ({'test': ('PackInputs', 0), 'train': ('RandomCrop', 32)}, (32, 32)),
    # Width comes first in the one, height in the other.
    ({'test': ('CenterCrop', (64, 48))}, (48, 64)),
    ({'train': ('RandomCrop', (64, 48))}, (64, 48)),
    ({'test': ('PackInputs', 0)}, None),
    ({}, None),
])
def test_crops_of_a_run(loaders, shape):
    config = Config({f'{name}_dataloader': dict(dataset=dict(type='RepeatDataset', dataset=dict(
        pipeline=[dict(type=kind, crop_size=crop)]))) for name, (kind, crop) in loaders.items()})
    if shape is None:
        with pytest.raises(ValueError, match='CenterCrop nor'):
            input_shape(config)
    else:
        assert input_shape(config) == shape


def test_run_without_a_crop_is_measured_at_the_size_of_the_paper(tmp_path):
    flops = []
    for steps in ([], [{'type': 'CenterCrop', 'crop_size': 224}]):
        config = {**CLASSIFIER, 'test_dataloader': {'dataset': {'pipeline': steps}}}
        folder = tmp_path / str(len(steps))
        write_start(folder, 1, config, [
            dict(lr=.1, loss=1., step=5), {'accuracy/top1': 30., 'step': 1}])
        flops.append(run_bubble(read_run(str(folder)), 'mine').flops)
    assert flops[0] == flops[1]
