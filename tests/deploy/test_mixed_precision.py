"""Maps that stay in single precision."""
import numpy as np
import onnx
import pytest
import torch

from eca_mm.deploy.mixed_precision import rounded_maps, worst_maps
from eca_mm.deploy.quantize import quantize
from eca_mm.deploy.verify import onnx_runner
from tests.support.onnx_models import small_classifier


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('mixed')
    small_classifier(root / 'float.onnx')
    return root


def test_as_few_maps_as_possible_are_kept():
    errors = dict(a=.1, b=.4, c=.1, d=.2)
    assert worst_maps(errors, 1) == [] and worst_maps({}, 0) == []
    assert worst_maps(errors, .3) == ['b'] and worst_maps(errors, .2) == ['b', 'd']
    assert sorted(worst_maps(errors, 0)) == list('abcd')


def test_limits(folder, capfd):
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(1, 3, 8, 8, generator=generator) for _ in range(6)]
    exact = onnx_runner(folder / 'float.onnx')
    differences = []
    for limit in (1, .004, 0):
        target = folder / f'{limit}.onnx'
        found = quantize(folder / 'float.onnx', target, images, limit=limit)
        run, written = onnx_runner(target), onnx.load(target)
        onnx.checker.check_model(written)
        assert len(rounded_maps(written)) == found.maps - found.in_float
        differences.append(max(float((run(image)[0] - exact(image)[0]).abs().max())
                               for image in images))
        kinds = {node.op_type for node in written.graph.node}
        if limit == 0:
            assert found.in_float == found.maps and 'QuantizeLinear' not in kinds
            weights = {value.name for value in written.graph.initializer}
            assert 'weight/exact' in weights and not any('quantized' in name and 'head' not in name
                                                         for name in weights)
        else:
            assert found.in_float == 0 if limit == 1 else 0 < found.in_float < found.maps
    assert differences[0] > differences[1] > differences[2] and differences[2] < 1e-5
    assert np.isfinite(differences).all()
    # The runtime has nothing to complain about.
    assert 'onnxruntime' not in capfd.readouterr().err
