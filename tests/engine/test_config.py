import ast
from importlib.util import find_spec
from pathlib import Path

import pytest
from mmengine.config import Config

from eca_mm.engine.config import check_keys, use_work_dir
from eca_mm.engine.old_settings import old_settings
from eca_mm.utils.errors import UserError


def stock_names() -> set:
    """All top-level names in the configs that mmdet and mmpretrain come with."""
    names = set()
    for package in ('mmdet', 'mmpretrain'):
        for path in (Path(find_spec(package).origin).parent / '.mim/configs').rglob('*.py'):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.Assign):
                    names.update(t.id for t in node.targets if isinstance(t, ast.Name))
    return names


def test_no_name_in_a_stock_config_is_taken_for_a_slip():
    names = stock_names()
    assert {'model', 'train_pipeline', 'data_root'} <= names
    # What MMDetection 2 read is reported as such.
    old = {name for name in names if list(old_settings(Config({name: {}})))}
    assert not {'model', 'train_pipeline', 'data_root'} & old
    check_keys(Config({name: {} for name in names - old}))


@pytest.mark.parametrize(('key', 'meant'), [
    ('custom_hook', 'custom_hooks'), ('optim_wraper', 'optim_wrapper'),
    ('val_evaluater', 'val_evaluator'), ('load_form', 'load_from'),
    ('model_wraper_cfg', 'model_wrapper_cfg'),
])
def test_a_near_miss_is_reported(key, meant):
    with pytest.raises(UserError, match=f"'{key}'.*'{meant}'"):
        check_keys(Config({'model': {}, key: {}}))


def test_the_work_directory_comes_from_command_line_config_or_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given, own, expected in (('a', 'b', 'a'), (None, 'b', 'b'), (None, None, 'work_dirs/x')):
        config = Config({} if own is None else {'work_dir': own})
        use_work_dir(config, 'configs/x.py', given)
        assert config.work_dir == expected
        assert (tmp_path / expected).is_dir()
        assert not list((tmp_path / expected).iterdir())
