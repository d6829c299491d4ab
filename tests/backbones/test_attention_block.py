"""How an ``attention`` argument spreads over stages and blocks."""
import pytest
import torch

from eca_mm.backbones import ECAResNet
from eca_mm.backbones.attention_block import attention_per_block, eca_attention

ECA = dict(type='ECALayer')


class TestAttentionPerBlock:

    def test_none_and_dict_stand_for_all(self):
        assert attention_per_block(None, (2, 1)) == [[None, None], [None]]
        assert attention_per_block(ECA, (2, 1)) == [[ECA, ECA], [ECA]]

    def test_per_stage_and_per_block(self):
        assert attention_per_block([None, ECA, [None, ECA]], (1, 2, 2)) == [
            [None], [ECA, ECA], [None, ECA]]

    @pytest.mark.parametrize('attention', [[ECA], [ECA] * 3, []])
    def test_wrong_number_of_stages(self, attention):
        with pytest.raises(ValueError, match='2 stages'):
            attention_per_block(attention, (2, 1))

    def test_wrong_number_of_blocks(self):
        with pytest.raises(ValueError, match=r'attention\[1\] has 1 entries.*3 blocks of stage 2'):
            attention_per_block([None, [ECA]], (2, 3))

    @pytest.mark.parametrize('attention', ['ECALayer', 3, [None, 'eca']])
    def test_wrong_type(self, attention):
        with pytest.raises(TypeError, match='config dict'):
            attention_per_block(attention, (2, 3))


@pytest.mark.parametrize('k', [(3, 5), [3], (3, 3, 3, 3)])
def test_kernel_sizes_must_fit_the_stages(k):
    with pytest.raises(ValueError, match='3 stages'):
        eca_attention(k, 3)


@pytest.mark.parametrize('fused', [False, True])
@pytest.mark.parametrize('momentum', [.1, None])
def test_checkpointing_counts_a_batch_once(fused, momentum):
    """The forward pass in the backward pass leaves running statistics alone; gradients are kept."""
    models = [ECAResNet(18, base_channels=8, with_cp=with_cp, fused=fused,
                        norm_cfg=dict(type='BN', momentum=momentum)).train()
              for with_cp in (False, True)]
    models[1].load_state_dict(models[0].state_dict())
    x = torch.randn(2, 3, 64, 64)
    for model in models:
        for _ in range(2):
            model(x)[0].square().mean().backward()
    for (name, a), b in zip(models[0].named_buffers(), models[1].buffers(), strict=True):
        torch.testing.assert_close(a, b, msg=name)
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
