"""What looks into a network finds ours as it finds any other: hooks, torch.fx, Grad-CAM."""
import pytest
import torch
from mmengine.model.efficient_conv_bn_eval import turn_on_efficient_conv_bn_eval
from torch import fx, nn
from torchvision.models.feature_extraction import create_feature_extractor

from eca_mm.backbones import AttentionMobileNetV2, AttentionResNet, ECAMobileNetV2, ECAResNet
from eca_mm.deploy import fuse
from tests.support.randomize import randomize

SMALL = dict(base_channels=8, stem_channels=8)
NETWORKS = {
    'r18': lambda cfg: AttentionResNet(18, cfg, **SMALL),
    'r50': lambda cfg: AttentionResNet(50, cfg, **SMALL),
    'mobilenet': lambda cfg: AttentionMobileNetV2(cfg, widen_factor=.35),
}
LAYERS = ['ECALayer', 'SELayer', 'CBAM', 'GCBlock', 'SEVar1Layer', 'ECANSLayer', 'GELayer']
NETWORK_X = (2, 3, 64, 64)


def attentions(network):
    return [block.attention for block in network.modules()
            if getattr(block, 'attention_name', None)]


# Every layer in one network, and one layer in every network; all of both are slow.
@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize(('name', 'layer'), [
    (name, layer) if name == 'r18' or layer == 'ECALayer'
    else pytest.param(name, layer, marks=pytest.mark.slow)
    for name in NETWORKS for layer in LAYERS])
class TestHooks:

    def network(self, name, layer, training):
        options = {'reduction': 4} if layer in ('SELayer', 'CBAM', 'GCBlock') else {}
        return NETWORKS[name](dict(type=layer, **options)).train(training)

    def test_forward_hooks_fire_once_and_may_change_the_output(self, name, layer, training):
        network = self.network(name, layer, training)
        calls = []
        attention = attentions(network)[-1]
        attention.register_forward_pre_hook(lambda module, args: calls.append(args[0].shape))
        attention.register_forward_hook(lambda module, args, out: calls.append(out.shape))
        x = torch.randn(NETWORK_X)
        network(x)
        assert len(calls) == 2 and calls[0] == calls[1]
        attention.register_forward_hook(lambda module, args, out: torch.full_like(out, torch.nan))
        assert network(x)[-1].isnan().any()

    def test_hooks_of_all_modules(self, name, layer, training):
        network = self.network(name, layer, training)
        seen = []
        hook = nn.modules.module.register_module_forward_hook(
            lambda module, args, out: seen.append(module))
        try:
            network(torch.randn(NETWORK_X))
        finally:
            hook.remove()
        assert all(sum(module is attention for module in seen) == 1
                   for attention in attentions(network))

    def test_gradients_on_the_way_back(self, name, layer, training):
        network = self.network(name, layer, training)
        grads = []
        attentions(network)[-1].register_full_backward_hook(
            lambda module, grad_in, grad_out: grads.append(grad_out[0]))
        network(torch.randn(NETWORK_X, requires_grad=True))[-1].sum().backward()
        assert len(grads) == 1 and grads[0].dim() == 4


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('make', [lambda: ECAResNet(18, **SMALL),
                                  lambda: ECAMobileNetV2(widen_factor=.35)])
def test_hooks_on_the_convolution_in_the_attention(make, training):
    network = make().train(training)
    calls, grads = [], []
    conv = attentions(network)[-1].conv
    conv.register_forward_hook(lambda module, args, out: calls.append(out))
    conv.register_full_backward_hook(lambda module, grad_in, grad: grads.append(grad[0]))
    network(torch.randn(NETWORK_X))[-1].sum().backward()
    assert len(calls) == len(grads) == 1 and calls[0].requires_grad


def test_hooks_on_the_inference_form():
    """The attention is the same module in it."""
    network = fuse(randomize(ECAResNet(18, **SMALL)))
    calls = []
    network.layer4[1].tail.attention.register_forward_hook(lambda *args: calls.append(1))
    with torch.no_grad():
        network(torch.randn(NETWORK_X))
    assert len(calls) == 1


def test_grad_cam():
    """Gradients of a score, averaged over the positions, weigh the attention's output."""
    network = randomize(ECAResNet(18, **SMALL))
    kept = {}

    def keep(module, args, out):
        kept['map'] = out
        out.register_hook(lambda grad: kept.update(grad=grad))

    network.layer4[1].eca.register_forward_hook(keep)
    network(torch.randn(1, 3, 96, 96))[0].mean().backward()
    cam = (kept['grad'].mean((2, 3), keepdim=True) * kept['map']).sum(1).relu()
    assert cam.shape == (1, 3, 3)
    assert kept['grad'].any() and cam.isfinite().all()


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('layer', [*LAYERS, 'SEVar2Layer', 'SEVar3Layer', 'SEGCLayer',
                                   'DoubleAttention', 'GSoPLayer', 'NonLocalBlock'])
def test_symbolic_trace(layer, training):
    options = {'SELayer': dict(reduction=4), 'CBAM': dict(reduction=4), 'SEGCLayer': dict(groups=4),
               'GCBlock': dict(reduction=4), 'GSoPLayer': dict(cov_channels=8)}.get(layer, {})
    network = AttentionResNet(18, dict(type=layer, **options), **SMALL)
    randomize(network).train(training)
    traced = fx.symbolic_trace(network)
    x = torch.randn(NETWORK_X)
    torch.testing.assert_close(traced(x)[0], network(x)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('make', [
    lambda: ECAResNet(50, **SMALL), lambda: ECAMobileNetV2(widen_factor=.35),
    lambda: ECAResNet(18, with_cp=True, **SMALL),
    lambda: ECAResNet(18, deep_stem=True, avg_down=True, **SMALL)])
def test_create_feature_extractor(make):
    network = randomize(make())
    name = 'layer3.1.' + network.layer3[1].attention_name
    extract = create_feature_extractor(network, {'layer3': 'stage', name: 'attention'})
    x = torch.randn(NETWORK_X)
    seen = []
    network.layer3[1].attention.register_forward_hook(lambda module, args, out: seen.append(out))
    network.layer3.register_forward_hook(lambda module, args, out: seen.append(out))
    network(x)
    out = extract.eval()(x)
    torch.testing.assert_close(out['attention'], seen[0])
    torch.testing.assert_close(out['stage'], seen[1])


@pytest.mark.parametrize('make', [lambda: ECAResNet(50, **SMALL),
                                  lambda: ECAMobileNetV2(widen_factor=.35)])
def test_efficient_conv_bn_eval(make):
    model = nn.Module()
    model.backbone = randomize(make())
    x = torch.randn(NETWORK_X)
    expected = model.backbone(x)[0]
    turn_on_efficient_conv_bn_eval(model, ['backbone'])
    out, = model.backbone(x)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    out.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_inference_form_is_traced():
    network = fuse(randomize(ECAResNet(18, **SMALL)))
    x = torch.randn(NETWORK_X)
    with torch.no_grad():
        traced = fx.symbolic_trace(network)
        torch.testing.assert_close(traced(x)[0], network(x)[0], rtol=1e-4, atol=1e-5)
