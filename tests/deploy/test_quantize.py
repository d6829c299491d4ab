"""Classifiers in 8-bit integers."""
import os
import sys

import numpy as np
import onnx
import pytest
import torch
from mmengine.config import Config
from onnx import numpy_helper

from eca_mm.deploy.quantize import (
    Comparison,
    FolderImages,
    check_installed,
    compare_precisions,
    quantize,
)
from eca_mm.deploy.verify import RUNTIMES, check_runtime, onnx_runner
from eca_mm.utils.errors import UserError
from tests.support.onnx_models import small_classifier
from tests.support.processes import run_tool
from tests.support.samples import CLASSIFICATION, draw_classes, write_config


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Working directory with a config, its pictures and an exported classifier."""
    root = tmp_path_factory.mktemp('int8')
    draw_classes(root / 'pictures', images=6)
    write_config(root / 'cls.py', CLASSIFICATION, root / 'pictures')
    small_classifier(root / 'float.onnx')
    return root


def test_pictures_are_prepared_as_for_testing(folder):
    config = Config.fromfile(folder / 'cls.py')
    pictures = FolderImages(config, str(folder / 'pictures'))
    assert len(pictures) == 18 and pictures[0].shape == (1, 3, 32, 32)
    # Normalised, and blue first by name.
    assert int(pictures[0].mean((0, 2, 3)).argmax()) == 2 and pictures[0].abs().max() <= 2
    assert pictures.spread(6) == [0, 3, 6, 9, 12, 15] and pictures.spread(6, 1)[:2] == [1, 4]
    assert pictures.spread(99, 1) == list(range(18))
    (folder / 'empty').mkdir(exist_ok=True)
    with pytest.raises(UserError, match='empty has no pictures'):
        FolderImages(config, str(folder / 'empty'))
    with pytest.raises(UserError, match='no test_dataloader'):
        FolderImages(Config(dict(model={})), str(folder / 'pictures'))


@pytest.mark.parametrize('reduce_range', [False, True])
def test_everything_but_the_gate_is_in_integers(folder, reduce_range):
    pictures = FolderImages(Config.fromfile(folder / 'cls.py'), str(folder / 'pictures'))
    images, target = [pictures[i] for i in range(18)], folder / f'{reduce_range}.onnx'
    quantize(folder / 'float.onnx', target, images[::2], reduce_range)
    written = onnx.load(target)
    assert {entry.key: entry.value for entry in written.metadata_props} == {
        'classes': '["red", "green", "blue"]'}
    weights = {init.name: numpy_helper.to_array(init) for init in written.graph.initializer}
    assert weights['taps'].dtype == np.float32
    largest = max(int(np.abs(value.astype(int)).max()) for value in weights.values()
                  if value.dtype == np.int8 and value.ndim == 4)
    assert largest == (64 if reduce_range else 127)
    found = compare_precisions(folder / 'float.onnx', target, images[1::2], threads=1)
    assert found.images == found.agreeing == 9 and found.agreement == 1
    assert found.float_ms > 0 and found.int8_ms > 0


def test_nan_agrees_with_nothing(folder):
    images = [torch.full((1, 3, 8, 8), float('nan')), torch.ones(1, 3, 8, 8)]
    found = compare_precisions(folder / 'float.onnx', folder / 'float.onnx', images)
    assert found.agreeing == 1


def test_absent_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(UserError, match='Quantisation needs onnxruntime: run `pip install onnxr'):
        check_installed()
    assert Comparison(8, 6, 2., 1.).agreement == .75


def test_openvino(folder):
    pytest.importorskip('openvino')
    pictures = FolderImages(Config.fromfile(folder / 'cls.py'), str(folder / 'pictures'))
    images = [pictures[i] for i in range(18)]
    for one, other in zip(*([onnx_runner(folder / 'float.onnx', runtime=runtime)(image)[0]
                             for image in images] for runtime in RUNTIMES), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    quantize(folder / 'float.onnx', folder / 'openvino.onnx', images[::2])
    found = compare_precisions(folder / 'float.onnx', folder / 'openvino.onnx', images, 1,
                               'openvino')
    assert found.agreement == 1


def test_an_absent_runtime_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'openvino', None)
    with pytest.raises(UserError, match='openvino is not installed: run `pip install openvino`'):
        check_runtime('openvino')


def test_command_line(folder):
    tool = ('deployment/quantize_onnx.py', 'cls.py', 'float.onnx')
    done = run_tool(folder, *tool, 'int8.onnx', '--calibration', 'pictures', '--num-images', 9,
                    '--json', 'figures.json')
    assert (done.returncode, done.stderr) == (0, '')
    assert '9 of 9 pictures get the same class (100.0%)' in done.stdout
    assert 'times the speed' in done.stdout and 'Wrote int8.onnx, ' in done.stdout
    assert os.path.getsize(folder / 'figures.json')
    refused = run_tool(folder, *tool, 'float.onnx', '--calibration', 'pictures')
    assert refused.returncode == 1 and 'float.onnx is the file to read' in refused.stderr
