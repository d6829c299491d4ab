"""The kernels for accelerators: in Triton's interpreter, through its compiler, and as operators."""
import importlib.util
import json
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from eca_mm.layers import ECALayer
from eca_mm.ops import accelerated_ops, triton_coefficients, triton_maps
from eca_mm.ops.accelerated_block_tail import accelerated_block_tail
from eca_mm.ops.forms import block_form, triton_runs
from eca_mm.ops.triton_import import interpreted
from tests.support.processes import ROOT

pytestmark = pytest.mark.skipif(not accelerated_ops.HAS_CUSTOM_OPS,
                                reason='PyTorch before 2.4 has no custom operators')
needs_triton = pytest.mark.skipif(importlib.util.find_spec('triton') is None,
                                  reason='Triton is not installed')


def interpret(*args):
    done = subprocess.run([sys.executable, '-m', 'tests.support.triton_checks', *args], cwd=ROOT,
                          env={**os.environ, 'TRITON_INTERPRET': '1'}, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def too_large(errors):
    return {name: error for name, error in errors.items()
            if not error <= (1e-2 if 'fp16' in name or 'bf16' in name
                             else 1e-3 if 'net' in name else 1e-5)}


@pytest.mark.slow
@needs_triton
def test_kernels_against_the_form_for_cpus():
    """And each operator starts one kernel and nothing else, on nothing but what it takes."""
    found = interpret()
    assert len(found['errors']) == 14 and not too_large(found['errors'])
    assert len(found['launches']) == 9
    assert all(started == [1, 0, 0] for started in found['launches'].values()), found['launches']


@needs_triton
def test_the_interpreter_of_older_triton(monkeypatch):
    # Triton before 3.4 has no module of settings.
    monkeypatch.delattr('triton.knobs', raising=False)
    monkeypatch.delenv('TRITON_INTERPRET', raising=False)
    assert not interpreted()
    monkeypatch.setenv('TRITON_INTERPRET', '1')
    assert interpreted()


@pytest.mark.slow
def test_training_on_a_cpu_without_triton():
    code = '''
import sys
sys.modules['triton'] = sys.modules['triton.language'] = None
import eca_mm, torch
eca_mm.ECAResNet(18).train()(torch.randn(2, 3, 64, 64))[-1].sum().backward()
'''
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr


@needs_triton
@pytest.mark.slow
def test_kernels_on_more_sizes():
    found = interpret('--slow')
    assert len(found['errors']) == 12 and not too_large(found['errors'])


MAPS = {'z', 'identity', 'out', 'grad', 'masked', 'result'}
SCALARS = {'momentum': 'fp32', 'eps': 'fp32', 'top': 'fp32', 'batches': '*i64'}
INTEGERS = {'channels', 'size', 'stride_c', 'stride_p', 'samples', 'width'}
TILE = dict(BLOCK_C=2, BLOCK_P=1024)


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize('kernel, half, constants', [
    (triton_maps.statistics_kernel, False, dict(stride_p=1, **TILE)),
    (triton_maps.statistics_kernel, True, dict(size=1, stride_c=1, BLOCK_C=64, BLOCK_P=1)),
    (triton_maps.scale_and_add_kernel, True,
     dict(ACT=1, HAS_IDENTITY=True, HAS_GATE=True, stride_c=1, BLOCK_C=64, BLOCK_P=32)),
    (triton_maps.gradient_sums_kernel, False,
     dict(ACT=6, HAS_IDENTITY=False, HAS_GATE=False, **TILE)),
    (triton_maps.gradient_sums_kernel, True,
     dict(ACT=1, HAS_IDENTITY=True, HAS_GATE=True, **TILE)),
    (triton_maps.input_gradient_kernel, True, dict(ACT=6, HAS_GATE=True, **TILE)),
    (triton_maps.gate_and_add_kernel, True,
     dict(ACT=1, HAS_IDENTITY=True, K=5, PADDED_K=8, **TILE)),
    (triton_coefficients.coefficients_kernel, False,
     dict(TRAINING=True, UPDATE=True, CUMULATIVE=True, HAS_TAPS=True, K=7, PADDED_K=8, BLOCK_N=32,
          BLOCK_C=16)),
    (triton_coefficients.coefficients_kernel, False,
     dict(TRAINING=False, UPDATE=False, CUMULATIVE=False, HAS_TAPS=False, K=1, PADDED_K=1,
          BLOCK_N=1, BLOCK_C=16, samples=1)),
    *((triton_coefficients.coefficients_backward_kernel, False,
       dict(TRAINING=True, MODE=mode, K=k, PADDED_K=padded, BLOCK_N=32, BLOCK_C=16))
      for mode, k, padded in ((0, 1, 1), (1, 7, 8), (2, 1, 1))),
    (triton_coefficients.se_gate_kernel, False, dict(BLOCK_C=32, BLOCK_H=128)),
    (triton_coefficients.se_gate_backward_kernel, False, dict(BLOCK_C=32, BLOCK_H=128)),
])
def test_kernels_compile_for_a_gpu(kernel, half, constants):
    """Down to machine code for an H100, which needs none."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.compiler import compile as compile_kernel
    names = kernel.arg_names
    pointer = {True: '*fp16', False: '*fp32'}
    signature = {name: 'constexpr' if name in constants else SCALARS[name] if name in SCALARS
                 else 'i32' if name in INTEGERS else pointer[half and name in MAPS]
                 for name in names}
    source = ASTSource(fn=kernel, signature=signature,
                       constexprs={(names.index(name),): value
                                   for name, value in constants.items()})
    assert compile_kernel(source, target=GPUTarget('cuda', 90, 32)).asm['cubin']


class TestOperators:

    def test_shapes_on_meta(self):
        z = torch.empty(3, 24, 7, 5, device='meta').to(memory_format=torch.channels_last)
        norm, layer = nn.BatchNorm2d(24, device='meta'), ECALayer(24).to('meta')
        identity = torch.empty_like(z).requires_grad_()
        out = accelerated_block_tail(z.requires_grad_(), norm, layer, identity, 1)
        assert out.shape == z.shape and out.is_contiguous(memory_format=torch.channels_last)
        out.sum().backward()
        assert z.grad.shape == identity.grad.shape == z.shape
        assert layer.conv.weight.grad.shape == layer.conv.weight.shape
        assert norm.weight.grad.shape == norm.bias.grad.shape == (24, )

    def test_single_operators_for_compilers(self):
        """torch.export sees the operator and not its insides."""
        class Means(nn.Module):

            def forward(self, z):
                return torch.ops.eca_mm.map_statistics(z)[0]

        from torch._subclasses import FakeTensorMode
        with FakeTensorMode():
            program = torch.fx.experimental.proxy_tensor.make_fx(Means())(torch.empty(2, 8, 3, 3))
        assert [node.target for node in program.graph.nodes if node.op == 'call_function'][0] == (
            torch.ops.eca_mm.map_statistics.default)

    def test_gradient_twice_is_refused(self):
        z = torch.empty(3, 8, 2, 2, device='meta', requires_grad=True)
        norm, layer = nn.BatchNorm2d(8, device='meta'), ECALayer(8).to('meta')
        out = accelerated_block_tail(z, norm, layer, None, 0)
        grad, = torch.autograd.grad(out.square().sum(), z, create_graph=True)
        with pytest.raises(RuntimeError, match='once_differentiable'):
            grad.sum().backward()


def test_which_form_runs_where():
    cpu, meta = torch.empty(1, 8, 2, 2), torch.empty(1, 8, 2, 2, device='meta')
    assert block_form(cpu, 'auto') == block_form(cpu, True) == 'cpu'
    assert block_form(meta, 'auto') == 'accelerator'
    assert block_form(cpu, False) is block_form(meta, False) is None
    # No kernels for fp64: the modules, and not the form for CPUs.
    assert block_form(meta.double(), True) is None


def test_without_triton_the_modules_run(monkeypatch):
    from eca_mm.ops import forms
    monkeypatch.setattr(forms, 'HAS_TRITON', False)
    triton_runs.cache_clear()
    with pytest.warns(RuntimeWarning, match='Triton does not run on cuda'):
        assert not triton_runs(torch.device('cuda'))
    triton_runs.cache_clear()
