"""Exported weights come back unchanged; damaged ones are never accepted unnoticed."""
import copy
import os
import random
from collections import Counter

import pytest
import torch
from mmdet.models.backbones import ResNet

from eca_mm.backbones import ECAResNet
from eca_mm.checkpoints.converters.ecanet import from_ecanet
from eca_mm.compat import load_checkpoint_file
from eca_mm.utils.errors import UserError
from tests.support.ecanet_files import published, resnet


def test_through_the_plugin_of_mmdets_own_resnet():
    source = ECAResNet(50, kernel_size=5)
    plugin = dict(cfg=dict(type='ECALayer', kernel_size=5), position='after_conv3')
    theirs = ResNet(50, plugins=[plugin])
    theirs.load_state_dict(source.state_dict(), strict=True)
    back = ECAResNet(50, kernel_size=5)
    back.load_state_dict(theirs.state_dict(), strict=True)
    for name, value in source.state_dict().items():
        assert torch.equal(back.state_dict()[name], value)
    images = torch.rand(1, 3, 64, 64)
    theirs.eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(images)[-1], source.eval()(images)[0])


class Harmful:
    """Makes a folder when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ('harmed', )


def drop(weights, rng):
    del weights[rng.choice(list(weights))]


def rename(weights, rng):
    name = rng.choice(list(weights))
    part = rng.choice(name.split('.'))
    weights[name.replace(part, part + rng.choice('xyz0'), 1)] = weights.pop(name)


def transpose(weights, rng):
    # A square weight is ambiguous.
    name = rng.choice([name for name, value in weights.items()
                       if value.dim() > 1 and value.shape[0] != value.shape[1]])
    weights[name] = weights[name].transpose(0, 1).contiguous()


def cut(weights, rng):
    name = rng.choice([name for name, value in weights.items() if value.dim()])
    weights[name] = weights[name][:-1].clone()


def to_integers(weights, rng):
    name = rng.choice(list(weights))
    weights[name] = weights[name].to(rng.choice([torch.int64, torch.int8, torch.bool]))


def to_half(weights, rng):
    name = rng.choice(list(weights))
    weights[name] = weights[name].to(rng.choice([torch.float16, torch.bfloat16, torch.float64]))


def nest(weights, rng):
    inner = dict(weights)
    weights.clear()
    weights[rng.choice(['state_dict', 'model', 'weights', 'net'])] = inner


def add(weights, rng):
    weights[rng.choice(['aux.weight', 'layer9.0.conv1.weight', 'layer1.7.eca.conv.weight',
                        'module.', '', 'fc.scale'])] = torch.ones(2)


def smuggle(weights, rng):
    weights[rng.choice(['hook', 'conv1.weight'])] = Harmful()


# What a mutation may end in: an error, or weights that are right.
MUTATIONS = {drop: False, rename: False, transpose: False, cut: False, to_integers: False,
             to_half: True, nest: True, add: False, smuggle: False}


def mutated(weights, rng, folder):
    """Write a damaged file; tell whether it may still load."""
    damaged = copy.copy(weights)
    path = folder / 'damaged.pth'
    if rng.random() < 0.2:
        torch.save(published(damaged, 'x'), path)
        data = bytearray(path.read_bytes())
        path.write_bytes(data[:rng.randrange(len(data))])
        return path, False, 'truncate'
    mutation = rng.choice(list(MUTATIONS))
    mutation(damaged, rng)
    torch.save(published(damaged, 'x') if rng.random() < 0.5 else damaged, path)
    return path, MUTATIONS[mutation], mutation.__name__


@pytest.mark.parametrize('count', [12, pytest.param(500, marks=pytest.mark.slow)])
def test_damaged_checkpoints_end_in_one_error_or_in_the_right_weights(count, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    weights = resnet(18, (3, 5, 7, 7), classes=5)
    outcomes = Counter()
    for _ in range(count):
        path, may_load, kind = mutated(weights, rng, tmp_path)
        try:
            conversion = from_ecanet(load_checkpoint_file(path))
        except UserError as error:
            assert '\n' not in str(error).strip()
            outcomes[kind, 'refused'] += 1
            continue
        assert may_load, kind
        outcomes[kind, 'loaded'] += 1
        for theirs, ours in conversion.names.items():
            torch.testing.assert_close(conversion.weights[ours].double(), weights[theirs].double(),
                                       rtol=1e-2, atol=1e-2)
    assert not (tmp_path / 'harmed').exists()
    assert outcomes['to_half', 'loaded'] and sum(
        number for (_, end), number in outcomes.items() if end == 'refused') > count / 2
