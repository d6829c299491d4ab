"""Parameters and FLOPs in the metafiles are those of the models."""
import pytest

from eca_mm.analysis import build_model, measure_complexity
from eca_mm.analysis.paper_counting import PLAIN, count_operations, total
from eca_mm.analysis.paper_tables import input_shape, measure
from tests.support.catalog import (
    ALL_CONFIGS,
    EVENT_CONFIGS,
    PAPER_CONFIGS,
    counts,
    load,
    metafiles,
    one_per_folder,
)


def entry(name: str) -> dict:
    model, = (model for content in metafiles().values() for model in content['Models']
              if model['Config'] == f'configs/{name}')
    return model['Metadata']


@pytest.mark.parametrize('name', one_per_folder(ALL_CONFIGS))
def test_parameters(name):
    assert entry(name)['Parameters'] == counts(name)[0]


@pytest.mark.parametrize('name', one_per_folder(PAPER_CONFIGS))
def test_flops(name):
    assert entry(name)['FLOPs'] == total(measure(name.removesuffix('.py')).counts, PLAIN)


@pytest.mark.slow
@pytest.mark.parametrize('name', PAPER_CONFIGS)
def test_mmengine_counts_the_same_flops(name):
    config = load(name)
    measured = measure_complexity(build_model(config), input_shape(config)).flops
    # It reads the cost of an einsum, which AA has, from a report of NumPy's with four digits.
    assert entry(name)['FLOPs'] == pytest.approx(measured, rel=1e-6 if '/aa-' in name else 0)


@pytest.mark.slow
@pytest.mark.parametrize('name', EVENT_CONFIGS)
def test_flops_of_two_streams(name):
    assert entry(name)['FLOPs'] == measure_complexity(build_model(load(name)), (480, 640)).flops


OTHERS = [name for name in ALL_CONFIGS
          if name not in PAPER_CONFIGS + EVENT_CONFIGS
          and not name.startswith('timm_')]


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=pytest.mark.slow) for name in OTHERS if '_coco' in name
] + one_per_folder([name for name in OTHERS if '_coco' not in name]))
def test_flops_of_what_is_not_in_the_paper(name):
    config = load(name)
    if 'cascade-mask' in name:
        # The masks of all 1000 proposals take 10 GB; every further proposal costs the same.
        few, more = flops(config, 20), flops(config, 40)
        assert entry(name)['FLOPs'] == few + (1000 - 20) // 20 * (more - few)
    elif '_coco' in name:
        assert entry(name)['FLOPs'] == flops(config)
    else:
        counted = count_operations(build_model(config), input_shape(config))
        assert entry(name)['FLOPs'] == total(counted, PLAIN)


def flops(config, proposals=None) -> int:
    """Multiply-adds of a detector, with another number of proposals."""
    if proposals:
        config.model.test_cfg.rpn.max_per_img = proposals
    return measure_complexity(build_model(config), input_shape(config)).flops
