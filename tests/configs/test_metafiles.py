"""Parameters and FLOPs in the metafiles are those of the models."""
import pytest

from eca_mm.analysis import build_model, measure_complexity

from .catalog import ALL, EVERY, counts, load, metafiles


def entry(name: str) -> dict:
    model, = (model for content in metafiles().values() for model in content['Models']
              if model['Config'] == f'configs/{name}')
    return model['Metadata']


@pytest.mark.parametrize('name', EVERY)
def test_parameters(name):
    assert entry(name)['Parameters'] == counts(name)[0]


# Detectors take seconds each, and a family's other kernel sizes add nothing to a fast look.
FAST = [name for name in ALL if name.startswith('eca_') and '-k3' in name]


@pytest.mark.parametrize('name', FAST + [
    pytest.param(name, marks=pytest.mark.slow) for name in ALL if name not in FAST])
def test_flops(name):
    assert entry(name)['FLOPs'] == measure_complexity(build_model(load(name))).flops
