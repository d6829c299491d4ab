"""Ways of training networks whose blocks end in Triton kernels, in Triton's interpreter."""
import importlib.util
import json
import os
import subprocess
import sys

import pytest

from eca_mm.ops import accelerated_ops
from tests.support.processes import ROOT

pytestmark = [
    pytest.mark.skipif(not accelerated_ops.HAS_CUSTOM_OPS,
                       reason='PyTorch before 2.4 has no custom operators'),
    pytest.mark.skipif(importlib.util.find_spec('triton') is None,
                       reason='Triton is not installed'),
]


def interpret(*args):
    done = subprocess.run([sys.executable, '-m', 'tests.support.triton_training', *args], cwd=ROOT,
                          env={**os.environ, 'TRITON_INTERPRET': '1'}, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_ways_of_training_give_what_the_modules_give():
    """Accumulated gradients, foreign parameters, SyncBN, hooks, compiled and exported."""
    found = interpret()
    assert found['uses_kernels'] and found['refuses_double_backward']
    assert set(found['errors']) == {'accumulation', 'functional_call', 'sync_bn', 'hooks',
                                    'compiled_inference', 'compiled_training'}
    assert all(error <= 1e-3 for error in found['errors'].values()), found['errors']


@pytest.mark.slow
def test_two_processes_and_a_compiled_network():
    found = interpret('--slow')
    assert all(error <= 1e-3 for error in found['errors'].values()), found['errors']
