"""What differs on a GPU; ``ECA_MM_REHEARSE_GPU=1 pytest -m gpu`` tries the tests on a CPU."""
import pytest
import torch
import torch.distributed as dist
from torch import nn

from eca_mm.backbones import ECAResNet
from eca_mm.benchmark.networks import WeightPool, build_entry, parse_entry
from eca_mm.benchmark.steps import Settings, Step
from eca_mm.layers import ECALayer, SELayer
from eca_mm.ops.accelerated_inference import accelerated_inference_tail
from eca_mm.ops.forms import block_form
from eca_mm.ops.training_block_tail import training_block_tail
from tests.support import samples
from tests.support.processes import free_port, run_tool

pytestmark = pytest.mark.gpu
FORMATS = [torch.contiguous_format, torch.channels_last]
TOLERANCES = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 1e-2}


@pytest.mark.parametrize('layout', FORMATS)
@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('shape', [(3, 24, 7, 5), (4, 256, 28, 28), (2, 2048, 7, 7)])
@pytest.mark.parametrize('attention', [ECALayer, SELayer])
def test_training_tail_against_the_reference(device, attention, shape, dtype, layout):
    """The reference is the form for CPUs in fp64."""
    z, weight = torch.randn(shape).to(dtype), torch.randn(shape).to(dtype)
    # Far from where the ReLU bends.
    identity = (torch.randn(shape).sign() * 30).to(dtype)
    results = []
    for precision, where in ((torch.float64, torch.device('cpu')), (dtype, device)):
        torch.manual_seed(0)
        parameters = torch.float64 if precision is torch.float64 else torch.float32
        norm, layer = nn.BatchNorm2d(shape[1]), attention(shape[1])
        norm, layer = norm.to(where, parameters), layer.to(where, parameters)
        maps = [x.to(where, precision).contiguous(memory_format=layout).requires_grad_()
                for x in (z, identity)]
        form = block_form(maps[0], True)
        assert form == ('cpu' if where.type == 'cpu' else 'accelerator')
        out = training_block_tail(maps[0], norm, layer, maps[1], True, form)
        inputs = (*maps, *norm.parameters(), *layer.parameters())
        grads = torch.autograd.grad((out * weight.to(where, precision)).sum(), inputs)
        results.append([x.detach().double().cpu() for x in (out, *grads, *norm.buffers())])
    for expected, value in zip(*results, strict=True):
        assert (value - expected).norm() <= TOLERANCES[dtype] * expected.norm().clamp(min=1e-2)


@pytest.mark.parametrize('layout', FORMATS)
@pytest.mark.parametrize('dtype', TOLERANCES)
@pytest.mark.parametrize('attention', [ECALayer, SELayer])
def test_inference_tail_against_the_modules(device, attention, dtype, layout):
    z, identity = torch.randn(2, 2, 256, 14, 14).to(device, dtype)
    z = z.contiguous(memory_format=layout)
    layer = attention(256).to(device)
    with torch.no_grad():
        expected = nn.functional.relu(layer(z.float()) + identity.float())
        if block_form(z, True) != 'accelerator':
            return
        out = accelerated_inference_tail(z, identity, layer, nn.ReLU())
    assert (out.float() - expected).norm() <= TOLERANCES[dtype] * expected.norm()


@pytest.mark.parametrize('network', [
    'eca_resnet50', 'eca_resnet50_accelerated', 'se_resnet50_accelerated',
    'eca_mobilenet_v2_accelerated', 'faster_rcnn_eca_r50_accelerated', 'mask_rcnn_eca_r50',
    'retinanet_eca_r50'])
def test_a_training_step_with_mixed_precision(device, network):
    dtype = 'fp16' if device.type == 'cuda' else 'bf16'
    model = build_entry(parse_entry(network, True), WeightPool())
    step = Step(model, Settings(True, 2, (64, 96), dtype, device=str(device)))
    step()
    assert step.loss().isfinite()


def test_one_process_of_ddp(device):
    """NCCL on a GPU, gloo on a CPU."""
    backend = 'nccl' if device.type == 'cuda' else 'gloo'
    dist.init_process_group(backend, init_method=f'tcp://127.0.0.1:{free_port()}', rank=0,
                            world_size=1)
    try:
        model = ECAResNet(18, base_channels=16, fused=True).to(device).train()
        ids = [device.index] if device.type == 'cuda' else None
        wrapped = nn.parallel.DistributedDataParallel(model, device_ids=ids)
        wrapped(torch.randn(2, 3, 64, 64, device=device))[-1].mean().backward()
        assert all(p.grad.isfinite().all() for p in model.parameters())
    finally:
        dist.destroy_process_group()


def test_detection_operators(device):
    """Non-maximum suppression and RoIAlign as on a CPU."""
    from mmcv.ops import RoIAlign, nms
    corners = torch.rand(200, 2) * 80
    boxes, scores = torch.cat([corners, corners + 5 + torch.rand(200, 2) * 40], 1), torch.rand(200)
    kept, expected = (nms(boxes.to(where), scores.to(where), .5)[1].cpu()
                      for where in (device, 'cpu'))
    assert kept.equal(expected)
    maps = torch.randn(1, 8, 32, 32)
    rois = torch.cat([torch.zeros(200, 1), boxes], 1)
    out, expected = (RoIAlign(7, .25, 2)(maps.to(where), rois.to(where)).cpu()
                     for where in (device, 'cpu'))
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)


def test_training_resumes(device, tmp_path):
    samples.draw_classes(tmp_path / 'classes')
    samples.write_config(tmp_path / 'cls.py', samples.CLASSIFICATION, tmp_path / 'classes')
    amp = ['--amp'][:device.type == 'cuda']
    assert run_tool(tmp_path, 'train.py', 'cls.py', *amp).returncode == 0
    resumed = run_tool(tmp_path, 'train.py', 'cls.py', '--resume', *amp, '--cfg-options',
                       'train_cfg.max_epochs=2')
    assert resumed.returncode == 0, resumed.stderr
    assert 'Epoch(train) [2]' in resumed.stdout and 'Epoch(train) [1]' not in resumed.stdout
