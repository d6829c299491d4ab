"""Test-time augmentation by the config's settings, or by horizontal flips."""
import pytest
from mmengine.config import Config

from eca_mm.engine.config import load_config
from eca_mm.engine.tta import use_tta
from eca_mm.utils.errors import UserError
from tests.support import samples


@pytest.mark.parametrize('text, model', [(samples.DETECTION, 'DetTTAModel'),
                                         (samples.CLASSIFICATION, 'AverageClsScoreTTA')])
def test_mirrored_images_by_default(tmp_path, text, model):
    config = load_config(str(samples.write_config(tmp_path / 'c.py', text, tmp_path)))
    backbone = config.model.backbone
    use_tta(config)
    assert config.model.type.endswith(model) and config.model.module.backbone == backbone
    last = config.test_dataloader.dataset.pipeline[-1]
    assert last.type == 'TestTimeAug' and [flip.prob for flip in last.transforms[0]] == [0, 1]
    if 'Det' in model:
        assert {'flip', 'flip_direction', 'img_id'} <= set(last.transforms[1][0].meta_keys)


def test_the_configs_own(tmp_path):
    own = 'tta_model = dict(type="DetTTAModel", tta_cfg=dict(max_per_img=7))\n' \
          'tta_pipeline = [dict(type="A"), dict(type="B")]\n'
    config = load_config(str(samples.write_config(tmp_path / 'c.py', samples.DETECTION, tmp_path,
                                                  own)))
    use_tta(config)
    assert config.model.tta_cfg.max_per_img == 7
    assert [step.type for step in config.test_dataloader.dataset.pipeline] == ['A', 'B']


def test_masks_cannot_be_merged():
    config = Config(dict(default_scope='mmdet', test_evaluator=dict(metric=['bbox', 'segm'])))
    with pytest.raises(UserError, match='test_evaluator.metric=bbox'):
        use_tta(config)
