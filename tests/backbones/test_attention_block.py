"""How an ``attention`` argument spreads over stages and blocks."""
import pytest

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
