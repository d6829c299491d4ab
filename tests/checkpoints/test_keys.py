from collections import OrderedDict

import pytest
import torch
from torch import nn

from eca_mm.checkpoints import KeyReport
from eca_mm.checkpoints.keys import MisfitError, check_fit, grouped, load_fitting, summarize
from eca_mm.utils.terminal import console


def _weights(*names):
    return {name: torch.ones(2, 3) for name in names}


def test_every_kind_of_misfit_is_counted_and_named():
    model = {'conv.weight': torch.ones(4, 3, 1, 1), 'bn.weight': torch.ones(4),
             'bn.num_batches_tracked': torch.tensor(0), 'fc.weight': torch.ones(2, 4)}
    saved = OrderedDict({'module.conv.weight': torch.ones(4, 3, 3, 3),
                         'module.bn.weight': torch.ones(4), 'module.eca.weight': torch.ones(3)})

    report = KeyReport.compare(model, {'state_dict': saved, 'meta': {}})

    assert report.matched == ['bn.weight']
    assert report.missing == ['fc.weight']
    assert report.unexpected == ['eca.weight']
    assert report.wrong_shape == ['conv.weight 4x3x3x3, not 4x3x1x1']
    assert report.prefix is None
    whole = {name: value.long() for name, value in model.items()}
    assert KeyReport.compare(model, whole).wrong_shape == [
        f'{name} torch.int64, not torch.float32' for name in list(model) if 'num' not in name]
    for part in ('1 weights match', '1 are missing', '1 belong to no layer', '1 have another'):
        assert part in str(report)


def test_long_lists_are_grouped_and_a_perfect_match_is_short():
    model = _weights('layer1.0.eca.weight', 'layer1.1.eca.weight', 'layer1.2.eca.weight',
                     'head.fc.weight', 'head.fc.bias', 'stem.weight')
    assert str(KeyReport.compare(model, model)) == '6 weights match'
    assert str(KeyReport.compare(model, {})) == (
        '0 weights match, 6 are missing in it (layer1.0.eca.weight, ...: layer1.*.eca (3), '
        'head.fc (2), stem.weight)')
    assert summarize(['a.weight', 'b.weight', 'c.weight']) == 'a.weight, b.weight, c.weight'


def test_groups_become_coarser_until_there_are_few():
    names = [f'backbone.layer{stage}.{block}.conv{conv}.weight'
             for stage in range(1, 5) for block in range(3) for conv in range(1, 4)]
    assert grouped(names) == [f'backbone.layer{stage}.* (9)' for stage in range(1, 5)]
    assert grouped([*names, 'head.fc.weight 2x3, not 2x4'], 2) == [
        'backbone (36)', 'head.fc.weight 2x3, not 2x4']
    assert grouped([f'part{i}.weight' for i in range(9)], 2) == [
        'part0.weight', 'part1.weight', '... 7 more']
    assert grouped([]) == []


@pytest.mark.parametrize(('saved', 'model', 'change'), [
    ('backbone.', '', "without the prefix 'backbone.' of"),
    ('_orig_mod.model.', '', "without the prefix '_orig_mod.model.' of"),
    ('', 'backbone.', "with the prefix 'backbone.' before"),
    ('encoder.', 'backbone.', "with the prefix 'backbone.' in place of 'encoder.' in"),
])
def test_a_prefix_that_keeps_weights_from_matching_is_reported(saved, model, change):
    names = ('conv1.weight', 'layer1.0.conv1.weight', 'layer1.1.conv1.weight', 'norm.bias')
    report = KeyReport.compare(_weights(*(model + name for name in names)),
                               _weights(*(saved + name for name in names)))
    assert (report.prefix.checkpoint, report.prefix.model) == (saved, model)
    assert not report.fits and f"4 would match {change} the checkpoint's names" in str(report)
    terminal = console()
    with terminal.capture() as output:
        terminal.print(report.table())
    assert 'would match' in output.get()


def test_no_prefix_is_reported_where_it_would_explain_little():
    model = _weights('conv1.weight', 'conv2.weight', 'conv3.weight', 'conv4.weight', 'new.weight')
    # The backbone fits: what is missing is a new part, not named otherwise.
    assert KeyReport.compare(model, _weights(*list(model)[:4], 'a.new.weight')).prefix is None
    # One of five by chance.
    assert KeyReport.compare(model, _weights('a.conv1.weight', 'b', 'c', 'd', 'e')).prefix is None
    # A second copy with a prefix, an average of the weights say, has no more of them.
    copies = _weights(*(prefix + name for prefix in ('', 'a.') for name in list(model)[:3]))
    assert KeyReport.compare(model, copies).prefix is None
    # The same names with other shapes.
    other = {f'a.{name}': torch.ones(7) for name in model}
    assert KeyReport.compare(model, other).prefix is None


def test_under_a_wrong_prefix_the_right_one_is_found():
    model = _weights('conv1.weight', 'conv2.weight')
    saved = _weights('backbone.conv1.weight', 'backbone.conv2.weight', 'head.fc.weight')
    assert KeyReport.compare(model, saved, 'backbone.').fits
    # Where a prefix is given, mmengine drops no other.
    wrapped = {name.replace('backbone.', 'backbone.module.'): saved[name] for name in saved}
    assert not KeyReport.compare(model, wrapped, 'backbone.').matched
    report = KeyReport.compare(model, saved, 'encoder.')
    assert not report.matched and report.prefix.checkpoint == 'backbone.'


@pytest.mark.parametrize(('saved', 'accepted'), [
    (_weights('a', 'b'), {'all', 'shapes', 'any'}),
    (_weights('a'), {'shapes', 'any'}),
    (_weights('a', 'b', 'c'), {'shapes', 'any'}),
    ({**_weights('a'), 'b': torch.ones(5)}, {'any'}),
    (_weights('c'), set()),
])
def test_how_well_weights_must_fit(saved, accepted):
    model = _weights('a', 'b')
    for require in ('all', 'shapes', 'any'):
        if require in accepted:
            assert check_fit(model, saved, 'It does not fit', require=require).matched
        else:
            with pytest.raises(MisfitError, match=r'^It does not fit: \d weights match, .*; go\.$'):
                check_fit(model, saved, 'It does not fit', 'go', require)


def test_weights_that_fit_are_loaded_and_others_change_nothing():
    model, other = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
    nn.init.constant_(other.weight, 3.)
    state = {f'module.{name}': value for name, value in other.state_dict().items()
             if name != 'num_batches_tracked'}
    with pytest.raises(MisfitError, match=r'Checkpoint a\.pth does not fit the model: 3 weights') \
            as info:
        load_fitting(model, {'state_dict': {**state, 'module.bias': torch.ones(5)}}, 'a.pth')
    assert info.value.report.wrong_shape == ['bias 5, not 4']
    assert (model.weight == 1).all()
    load_fitting(model, {'state_dict': state}, 'a.pth')
    assert (model.weight == 3).all()
