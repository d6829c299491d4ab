from collections import OrderedDict

import torch

from eca_mm.checkpoints import KeyReport


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
    for part in ('1 weights match', '1 are missing', '1 belong to no layer', '1 have another'):
        assert part in str(report)


def test_long_lists_are_cut_and_a_perfect_match_is_short():
    model = {f'layer{i}.weight': torch.ones(1) for i in range(5)}
    assert str(KeyReport.compare(model, model)) == '5 weights match'
    assert '(layer0.weight, layer1.weight, layer2.weight, ...)' in str(KeyReport.compare(model, {}))
