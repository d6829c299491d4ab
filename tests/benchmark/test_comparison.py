"""What the benchmark measures: turns, ratios, memory, and the networks themselves."""
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from eca_mm.backbones import AttentionResNet
from eca_mm.benchmark.comparison import compare
from eca_mm.benchmark.memory import peak_memory, saved_bytes
from eca_mm.benchmark.networks import (
    NETWORKS,
    BenchmarkEntry,
    WeightPool,
    build_entry,
    parse_entry,
)
from eca_mm.benchmark.report import Report, comparison_report
from eca_mm.benchmark.roofline import _limit
from eca_mm.benchmark.steps import Settings, Step
from eca_mm.benchmark.timing import Timing, time_in_turns

CPU = torch.device('cpu')
QUICK = dict(rounds=1, min_time=0., warmup=1)
SMALL = Settings(batch=2, shape=(32, 32))


class TestTiming:

    def test_in_turns(self):
        calls = []
        steps = {name: lambda name=name: calls.append(name) for name in 'abc'}
        timings = time_in_turns(steps, CPU, rounds=20, min_time=0., warmup=2)
        assert calls[:6] == list('aabbcc')
        rounds = [''.join(calls[6 + 3 * i:9 + 3 * i]) for i in range(20)]
        assert len(calls) == 66 and all(set(turn) == set('abc') for turn in rounds)
        assert len(set(rounds)) > 2
        assert all(len(timing.seconds) == 20 for timing in timings.values())

    def test_quick_steps_get_more_rounds(self):
        now = [0]
        steps = {name: lambda duration=duration: now.__setitem__(0, now[0] + duration)
                 for name, duration in (('quick', 1), ('slow', 10))}
        timings = time_in_turns(steps, CPU, rounds=2, min_time=20, clock=lambda: now[0])
        assert timings['quick'].seconds == (1, ) * 20
        assert timings['slow'].seconds == (10, ) * 20
        assert len(time_in_turns(steps, CPU, 30, 20, clock=lambda: now[0])['slow'].seconds) == 30

    def test_ratios_are_taken_round_by_round(self):
        """A machine that is half as fast in some rounds does not change them."""
        plain = Timing.of((2., 4., 2., 4., 2.))
        ours = Timing.of((1., 2., 1., 2., 4.))
        assert ours.speed_beside(plain) == (2., 2., 2.)
        assert (plain.median, plain.quartiles, ours.best) == (2., (2., 4.), 1.)


class TestMemory:

    def test_saved_bytes(self):
        layer = nn.Linear(100, 1000)
        x = torch.randn(50, 100)

        def forward():
            y = layer(x).sigmoid()
            return (y * y.view(1000, 50).t()).sum()

        # x for the weight's gradient, and the sigmoid's output once, however often it is needed.
        assert saved_bytes(forward, layer) == 4 * (50 * 100 + 50 * 1000)

    def test_ours_saves_what_the_plain_network_saves(self):
        saved = {}
        for attention, fused in ((False, True), (True, True), (True, False)):
            kernel = dict(attention=dict(type='ECALayer')) if attention else {}
            model = AttentionResNet(50, fused=fused, base_channels=16, **kernel).train()
            x = torch.randn(2, 3, 64, 64)
            saved[attention, fused] = saved_bytes(lambda model=model, x=x: model(x)[0], model)
        assert saved[True, True] <= 1.01 * saved[False, True] < saved[True, False]

    @pytest.mark.skipif(sys.platform != 'linux', reason='reads what only Linux tells')
    def test_peak_memory(self):
        size = 200 * 2**20

        def step():
            x = torch.ones(size // 4)
            del x
            torch.ones(size // 8)

        step()
        assert .9 * size < peak_memory(step, CPU) < 1.2 * size


class TestNetworks:

    def test_every_name_has_a_config_or_is_timms(self):
        for name, network in NETWORKS.items():
            assert network.plain in NETWORKS
            assert name.startswith('timm_') != bool(network.config)
            assert parse_entry(name, True) == BenchmarkEntry(name, name)

    @pytest.mark.parametrize('name, training, reference', [
        ('eca_resnet101_fused', False, 'resnet101_folded'),
        ('timm_seresnet18', True, 'resnet18'),
        ('resnet34', False, 'resnet34_folded'),
        ('faster_rcnn_se_r50_fused', False, 'faster_rcnn_r50_folded'),
        ('a/b.py:fused', False, 'b_plain_folded'),
        ('a/b.py', True, 'b_plain'),
    ])
    def test_reference(self, name, training, reference):
        found = parse_entry(name, training).reference(training)
        assert found.name == reference
        assert found.reference(training) == found

    def test_same_function_in_all_forms(self):
        names = ['eca_resnet18', 'eca_resnet18_fused', 'timm_ecaresnet18',
                 'timm_ecaresnet18_folded', 'timm_resnet18', 'resnet18']
        result = compare([parse_entry(name, False) for name in names],
                         Settings(batch=2, shape=(32, 32), memory_format='channels_last',
                                  all_levels=True), **QUICK)
        assert result['difference'].keys() == {*names, 'resnet18_folded'}
        assert max(result['difference'].values()) < 1e-5

    def test_forms(self):
        def kinds(name, training=False):
            model = build_entry(parse_entry(name, training), WeightPool())
            return {type(module).__name__ for module in model.modules()}

        assert 'BatchNorm2d' in kinds('timm_ecaresnet18')
        for folded in ('resnet18_folded', 'timm_ecaresnet18_folded', 'eca_resnet18_fused'):
            assert 'BatchNorm2d' not in kinds(folded)
        fused = build_entry(parse_entry('eca_resnet18', True), WeightPool()).backbone
        unfused = build_entry(parse_entry('eca_resnet18_unfused', True),
                                  WeightPool()).backbone
        assert fused.layer1[0].fused and not unfused.layer1[0].fused

    def test_plain_network_of_a_config(self, tmp_path):
        """Whatever attention a config has, its reference has none and the same other weights."""
        (tmp_path / 'c.py').write_text('''
model = dict(type='ImageClassifier', backbone=dict(
    type='ECAResNet', depth=18, kernel_size=3, base_channels=8, stem_channels=8))
default_scope = 'mmpretrain'
''')
        entry = parse_entry(str(tmp_path / 'c.py'), True)
        pool = WeightPool()
        model = build_entry(entry, pool).state_dict()
        plain = build_entry(entry.reference(True), pool).state_dict()
        assert {name for name in model if name not in plain} == {
            name for name in model if '.eca.' in name} != set()
        assert all(value.equal(model[name]) for name, value in plain.items())

    def test_without_timm(self, monkeypatch):
        monkeypatch.setitem(sys.modules, 'timm.models.resnet', None)
        result = compare([parse_entry(name, False) for name in (
            'timm_ecaresnet18', 'eca_resnet18')], SMALL, **QUICK)
        assert result['not_installed'] == ['timm_ecaresnet18']
        assert list(result['ratios_to_plain']) == ['resnet18_folded', 'eca_resnet18']
        assert comparison_report(result).markdown().endswith('not installed: timm_ecaresnet18.')


class TestSteps:

    def test_training_trains(self):
        model = build_entry(parse_entry('eca_resnet18', True), WeightPool())
        before = [parameter.clone() for parameter in model.parameters()]
        step = Step(model, Settings(training=True, batch=2, shape=(64, 64)))
        assert step() is None
        assert all(not p.equal(old) for p, old in zip(model.parameters(), before, strict=True))
        assert all(parameter.grad is None for parameter in model.parameters())

    @pytest.mark.parametrize('training', [False, True])
    def test_bf16(self, training):
        model = build_entry(parse_entry('eca_resnet18', training), WeightPool())
        step = Step(model, Settings(training, batch=2, shape=(64, 64), dtype='bf16',
                                    memory_format='channels_last'))
        step()
        # Training keeps its weights in fp32.
        assert next(model.parameters()).dtype == (torch.float32 if training else torch.bfloat16)
        assert step.loss().isfinite()

    @pytest.mark.parametrize('training', [False, pytest.param(True, marks=pytest.mark.slow)])
    def test_detector(self, training):
        model = build_entry(parse_entry('mask_rcnn_eca_r50', training), WeightPool())
        step = Step(model, Settings(training, batch=1, shape=(64, 96)))
        if training:
            step()
            assert step.loss().isfinite()
        else:
            assert step()[0].pred_instances.bboxes.size(1) == 4


def test_limit_of_a_stage():
    """One 1x1 convolution and a shortcut: 2 maps and the weights, then the shortcut once more."""

    class Block(nn.Module):

        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 1)

        def forward(self, x):
            return F.relu(self.conv(x) + x)

    x = torch.randn(2, 8, 5, 5)
    moved, macs, seconds = _limit(nn.Sequential(Block()), x, (1., 1e9))
    assert moved == 3 * x.nbytes + 4 * (8 * 8 + 8)
    assert macs == 2 * 25 * 8 * 8
    assert seconds == moved
    assert _limit(nn.Sequential(Block()), x, (1e12, 1.))[2] == pytest.approx(macs)


def test_table_and_picture(tmp_path):
    result = compare([parse_entry('eca_resnet18', True)],
                     Settings(training=True, batch=2, shape=(32, 32)), **QUICK)
    report = comparison_report(result)
    head, rule, *rows = report.markdown().splitlines()
    assert len({len(line) for line in (head, rule, *rows)}) == 1
    assert [row.split()[1] for row in rows] == ['resnet18', 'eca_resnet18']
    report.draw(tmp_path / 'a.png')
    two = Report({}, [], [], 'times', {'one': {'a': (1., .9, 1.2)}, 'two': {'b': (2., 2., 2.)}})
    two.draw(tmp_path / 'b.png')
    assert all((tmp_path / name).stat().st_size > 1000 for name in ('a.png', 'b.png'))


@pytest.mark.slow
@pytest.mark.parametrize('names, training', [
    (('resnet50', 'eca_resnet50', 'eca_resnet50_fused'), False), (('eca_resnet50', ), True)])
@pytest.mark.filterwarnings('ignore::DeprecationWarning')
def test_compiles_without_graph_breaks(names, training):
    result = compare([parse_entry(name, training) for name in names],
                     Settings(training, batch=2, shape=(64, 64), compile=True), **QUICK)
    assert set(result['graph_breaks'].values()) == {0}
    assert training or max(result['difference'].values()) < 1e-5
