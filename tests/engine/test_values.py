"""Numbers of a config that cannot be used are named, each in a sentence."""
import pytest
from mmengine.config import Config

from eca_mm.engine.config import check_keys
from eca_mm.engine.values import bad_values
from eca_mm.utils.errors import UserError

GOOD = {
    'model': {}, 'train_dataloader': {'batch_size': 2, 'num_workers': 0},
    'train_cfg': {'max_epochs': 1.0}, 'randomness': {'seed': 0},
    'optim_wrapper': {'optimizer': {'lr': 0.1, 'weight_decay': 0}, 'accumulative_counts': 2}}


@pytest.mark.parametrize(('key', 'value'), [
    ('train_dataloader.batch_size', 0), ('train_dataloader.batch_size', 2.5),
    ('train_dataloader.batch_size', True), ('train_dataloader.num_workers', -1),
    ('train_dataloader.num_workers', '4'), ('randomness.seed', -1), ('randomness.seed', 2**32),
    ('optim_wrapper.optimizer.lr', 'big'), ('optim_wrapper.optimizer.lr', '1e-3'),
    ('optim_wrapper.optimizer.lr', -0.1), ('optim_wrapper.optimizer.lr', float('nan')),
    ('optim_wrapper.accumulative_counts', 0), ('train_cfg.max_epochs', 0),
    ('train_cfg.max_epochs', 1.5)])
def test_a_value_that_cannot_be_used(key, value):
    config = Config(GOOD)
    assert list(bad_values(config)) == []
    config.merge_from_dict({key: value})
    with pytest.raises(UserError, match=f'{key} of the config is .*, but must be'):
        check_keys(config)
