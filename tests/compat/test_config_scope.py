from mmengine.config import Config
from mmengine.config import utils as config_utils


def test_the_scope_leads_into_the_package(tmp_path):
    # Through mmengine's own lookup, up to the package's folder of configs.
    config = tmp_path / 'config.py'
    config.write_text("_base_ = ['eca_mm::no_such_family/no_such_config.py']")
    try:
        Config.fromfile(config)
    except FileNotFoundError as error:
        assert str(error).replace('\\', '/').split('"')[1].endswith(
            'eca_mm/.mim/configs/no_such_family/no_such_config.py')
    else:
        raise AssertionError('a config that does not exist was read')


def test_other_scopes_stay():
    assert config_utils.MODULE2PACKAGE['mmdet'] == 'mmdet'
    assert config_utils.MODULE2PACKAGE['eca_mm'] == 'eca_mm'
