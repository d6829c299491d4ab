"""Networks train the same with and without the fused tail."""
import pytest
import torch

from eca_mm.backbones import AttentionResNet, ECAMobileNetV2, ECAResNet

FORMATS = [torch.contiguous_format, torch.channels_last]


def compare_training(models, x, tolerance=1e-4, autocast=False):
    """Outputs, gradients and running statistics of two equal networks after one step each."""
    # Both, for a frozen stage freezes its attention only if that was loaded.
    state = models[0].state_dict()
    for model in models:
        model.load_state_dict(state)
    outputs = []
    for model in models:
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=autocast):
            outputs.append(model(x)[-1])
        outputs[-1].float().pow(2).mean().backward()
    torch.testing.assert_close(*outputs, rtol=tolerance, atol=tolerance)
    for a, b in zip(*(m.parameters() for m in models), strict=True):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            assert (a.grad - b.grad).norm() <= tolerance * (1e-3 + a.grad.norm())
    for a, b in zip(*(m.buffers() for m in models), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


class TestNetworks:
    """Every way that networks are trained gives the same with ``fused=False``."""

    @pytest.mark.parametrize('options', [
        {}, dict(norm_eval=True), dict(frozen_stages=1, norm_eval=True), dict(with_cp=True),
        dict(norm_cfg=dict(type='BN', requires_grad=False)), dict(deep_stem=True, avg_down=True)
    ])
    def test_resnet(self, options):
        torch.manual_seed(0)
        models = [ECAResNet(50, base_channels=8, fused=fused, **options).double().train()
                  for fused in (False, True)]
        compare_training(models, torch.randn(2, 3, 64, 64, dtype=torch.float64), 1e-9)

    def test_basic_blocks_with_se(self):
        torch.manual_seed(0)
        models = [AttentionResNet(18, dict(type='SELayer'), base_channels=16,
                                  fused=fused).double().train() for fused in (False, True)]
        compare_training(models, torch.randn(2, 3, 64, 64, dtype=torch.float64), 1e-9)

    def test_mobilenet_v2(self):
        torch.manual_seed(0)
        models = [ECAMobileNetV2(widen_factor=.35, fused=fused).double().train()
                  for fused in (False, True)]
        compare_training(models, torch.randn(2, 3, 64, 64, dtype=torch.float64), 1e-9)

    @pytest.mark.parametrize('layout', FORMATS)
    def test_mixed_precision(self, layout):
        """Gradients of a whole network differ by rounding alone, with or without fusing."""
        torch.manual_seed(0)
        models = [ECAResNet(18, base_channels=16, fused=fused).train().to(memory_format=layout)
                  for fused in (False, True)]
        models[1].load_state_dict(models[0].state_dict())
        x, outputs = torch.randn(4, 3, 64, 64), []
        for model in models:
            with torch.autocast('cpu', dtype=torch.bfloat16):
                outputs.append(model(x)[-1])
            outputs[-1].float().square().mean().backward()
        assert type(outputs[1].grad_fn).__name__ == '_TrainingBlockTailBackward'
        assert outputs[1].dtype is torch.bfloat16
        for a, b in zip(*(model.buffers() for model in models), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-3)

    def test_stochastic_depth_takes_the_plain_path(self):
        models = [ECAResNet(18, base_channels=8, drop_path_rate=.5, fused=fused).train()
                  for fused in (False, True)]
        models[1].load_state_dict(models[0].state_dict())
        x, outputs = torch.randn(4, 3, 64, 64), []
        for model in models:
            torch.manual_seed(0)
            outputs.append(model(x)[0])
        # The first block has rate 0 and is fused.
        torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize('layout', FORMATS)
    def test_is_used_by_default(self, layout):
        model = ECAResNet(50, base_channels=8).train().to(memory_format=layout)
        out = model(torch.randn(2, 3, 64, 64).to(memory_format=layout))[0]
        assert type(out.grad_fn).__name__ == '_TrainingBlockTailBackward'
        assert out.is_contiguous(memory_format=layout)
