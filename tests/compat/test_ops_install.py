"""Where the operators of mmcv come from: compiled ones, or the stand-in."""
import importlib.util
import itertools
import os
import subprocess
import sys
from pathlib import Path

import mmcv
import mmcv.ops
import numpy as np
import pytest
import torch
from mmcv.utils import ext_loader

import eca_mm
from eca_mm.compat import ops
from tests.support.boxes import ROIS, crowd, features

PACKAGE = Path(eca_mm.__file__).parent
COMPILED = not sys.modules[ops.NAME].__file__.startswith(str(PACKAGE))


def test_mmcv_believes_that_it_has_operators():
    assert ext_loader.check_ops_exist()
    assert sys.modules['mmcv._ext'] is mmcv._ext
    assert importlib.util.find_spec('mmcv._ext').loader is not None


def test_other_operators_exist_and_name_what_to_install(stand_in):
    assert not hasattr(stand_in, '__wrapped__')
    with pytest.raises(NotImplementedError) as error:
        stand_in.carafe_forward(1, kernel=3)
    for part in ('carafe_forward', 'make mmcv-ops', 'setuptools<81', 'mmcv==2.1.0'):
        assert part in str(error.value)


@pytest.mark.skipif(COMPILED, reason='mmcv has compiled operators here')
def test_a_layer_of_mmcv_without_its_operator_raises():
    with pytest.raises(NotImplementedError, match='softmax_focal_loss_forward'):
        mmcv.ops.softmax_focal_loss(torch.ones(1, 2), torch.zeros(1, dtype=torch.long))


@pytest.mark.skipif(not COMPILED, reason='mmcv has no compiled operators here')
def test_the_stand_in_equals_compiled_mmcv(stand_in):
    compiled = sys.modules[ops.NAME]
    boxes, scores = (torch.from_numpy(a) for a in crowd(200, seed=5))
    for offset, threshold in itertools.product((0, 1), (0.3, 0.5)):
        torch.testing.assert_close(stand_in.nms(boxes, scores, threshold, offset),
                                   compiled.nms(boxes, scores, threshold, offset))
    maps, rois = (torch.from_numpy(a) for a in (features(np.float32), ROIS.astype(np.float32)))
    # Compiled mmcv refuses some of the degenerate RoIs on the CPU.
    rois = rois[[0, 1, 2, 4, 6]]
    for ratio, aligned in itertools.product((0, 2), (False, True)):
        options = dict(aligned_height=7, aligned_width=7, spatial_scale=0.5,
                       sampling_ratio=ratio, pool_mode=1, aligned=aligned)
        results = []
        for module in (stand_in, compiled):
            none, output, gradient = maps.new_zeros(0), maps.new_zeros(5, 3, 7, 7), maps * 0
            module.roi_align_forward(maps, rois, output, none, none, **options)
            module.roi_align_backward(output, rois, none, none, gradient, **options)
            results.append((output, gradient))
        torch.testing.assert_close(*results)


def run_with_extension(folder, source, code):
    """Runs `code` in a process whose mmcv has the module `_ext` with this source."""
    (folder / '_ext.py').write_text(source)
    code = f'import mmcv; mmcv.__path__.insert(0, {str(folder)!r})\n{code}'
    path = os.pathsep.join([str(PACKAGE.parent), os.environ.get('PYTHONPATH', '')])
    return subprocess.run([sys.executable, '-c', code], check=False, text=True, capture_output=True,
                          env={**os.environ, 'PYTHONPATH': path})


@pytest.mark.slow
def test_installed_operators_are_not_replaced(tmp_path):
    source = 'def __getattr__(name):\n    return len\n'
    run = run_with_extension(
        tmp_path, source, 'import eca_mm, mmcv._ext as ext; '
        'print(ext.roi_pool_forward, ext.nms.__wrapped__, ext.roi_align_forward.__wrapped__)')
    assert run.stdout.strip().splitlines()[-1:] == [' '.join(['<built-in function len>'] * 3)], (
        run.stderr)


def test_maps_in_channels_last_and_doubles_are_read_right():
    """Also by mmcv's compiled operators, where those are installed."""
    maps, rois = torch.randn(2, 8, 16, 16), torch.tensor([[0, 1., 1, 9, 9], [1, 2, 3, 12, 8]])
    layer = mmcv.ops.RoIAlign(7, 1.0, 2)
    last = maps.to(memory_format=torch.channels_last)
    assert layer(last, rois).equal(layer(maps, rois))
    assert layer(last.double(), rois.double()).allclose(layer(maps, rois).double(), atol=1e-5)
    boxes, scores = rois[:, 1:], torch.tensor([.3, .6])
    found, kept = mmcv.ops.nms(boxes.double(), scores.double(), .5)
    expected, same = mmcv.ops.nms(boxes, scores, .5)
    assert kept.equal(same) and found.allclose(expected.double())


@pytest.mark.slow
def test_operators_built_for_another_torch(tmp_path):
    source = 'raise ImportError("undefined symbol: _ZN2at4_ops5zeros")'
    run = run_with_extension(tmp_path, source, 'import eca_mm')
    last = run.stderr.strip().splitlines()[-1]
    assert 'UserError: The compiled operators of mmcv' in last and 'make mmcv-ops' in last
    assert 'undefined symbol' in last
