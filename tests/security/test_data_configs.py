"""Configs as values: YAML and JSON files, and those in the folders of runs."""
import json
import os
import sys
import time

import mmengine
import pytest
import yaml
from mmengine.config import Config

from eca_mm.engine.config import load_config
from eca_mm.utils.errors import UserError
from eca_mm.visualization.runs import read_run
from tests.support import samples
from tests.support.logs import CLASSIFIER, write_start
from tests.support.processes import run_tool

MODEL = {'type': 'ImageClassifier', 'backbone': {'type': 'ECAResNet', 'depth': 18}}


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A module on the path that makes a folder when it is imported."""
    marker = tmp_path / 'marker'
    (tmp_path / 'evil').mkdir()
    for name in ('__init__', 'registry'):
        (tmp_path / f'evil/{name}.py').write_text(f'import os\nos.mkdir({str(marker)!r})\n')
    (tmp_path / 'base.py').write_text(f'import os\nos.mkdir({str(marker)!r})\na = 1\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    yield marker
    sys.modules.pop('evil', None)
    assert not marker.exists()


YAML = {
    'apply': 'model: !!python/object/apply:os.mkdir ["{marker}"]',
    'new': 'model: !!python/object/new:os.mkdir ["{marker}"]',
    'name': 'model: {type: !!python/name:os.mkdir }',
    'module': 'model: !!python/module:evil',
    'in a list': 'model: [1, [!!python/object/apply:os.mkdir ["{marker}"]]]',
    'as a key': '? !!python/object/apply:os.mkdir ["{marker}"]\n: 1',
    'deep': 'a: ' + '[' * 10**5,
    'by a directive': (
        '%TAG ! tag:yaml.org,2002:python/object/apply:\n---\na: !os.mkdir ["{marker}"]'),
    'out of the environment': 'model: {{$ENV:NONE:!!python/object/apply:os.mkdir ["{marker}"]}}',
    'by an alias': 'a: &a !!python/object/apply:os.mkdir ["{marker}"]\nmodel: *a',
    'billion laughs': 'a0: &a0 [x, x]\n' + ''.join(
        f'a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n' for n in range(1, 40)) + 'model: *a39',
    # Merged keys are copied before anything is built.
    'billion laughs by merging': 'a0: &a0 {b: 1, c: 2}\n' + ''.join(
        f'a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n' for n in range(1, 40)),
    'merged into itself': 'a: &a {<<: *a}',
    'base 60': 'a: ' + ':'.join(['59'] * 10**5), 'base 60 with a point': 'a: ' + ':'.join(
        ['59'] * 10**5) + '.5',
    'keys of one hash': 'a: {' + ', '.join(f'{n * (2**61 - 1)}: 1' for n in range(1, 5000)) + '}',
    'tuples of one hash': 'a: {' + ', '.join(
        f'? !!python/tuple [{n * (2**61 - 1)}] : 1' for n in range(1, 5000)) + '}',
    'a tag without its value': 'a: !!int ""', 'a tag with another': 'a: !!timestamp now',
    'an unknown day': 'a: 2001-99-99', 'large': 'a: ' + 'x' * 2**24,
}


@pytest.mark.parametrize('name', YAML)
def test_yaml_that_reaches_python_or_grows_is_refused(name, tmp_path, evil):
    path = tmp_path / 'a.yml'
    path.write_text(YAML[name].replace('{marker}', str(evil)))
    start = time.process_time()
    with pytest.raises(UserError, match='a.yml') as caught:
        load_config(str(path))
    assert time.process_time() - start < 20, 'no bound on its time'
    assert '\n' not in str(caught.value)


def test_every_reader_of_yaml_in_mmengine_is_as_strict(tmp_path, evil):
    path = tmp_path / 'a.yaml'
    path.write_text(YAML['apply'].replace('{marker}', str(evil)))
    for read in (mmengine.load, Config.fromfile):
        with pytest.raises(yaml.YAMLError):
            read(str(path))


@pytest.mark.parametrize('change, found', [
    ({'model': {'type': 'subprocess.Popen', 'args': ['mkdir', 'x']}}, 'subprocess.Popen'),
    ({'model': {'type': 'evil'}}, "'evil'"), ({'hooks': [{'type': 'evil.Hook'}]}, 'hooks.0.type'),
    ({'default_scope': 'evil'}, "scope 'evil'"), ({'model': {'_scope_': 'evil'}}, "scope 'evil'"),
    ({'custom_imports': {'imports': ['evil']}}, 'custom_imports'),
    ({'custom_imports': {'imports': ['eca_mm', 'evil']}}, 'custom_imports'),
    ({'_base_': 'base.py'}, 'inherits from base.py'), ({'_base_': ['base.py']}, 'base.py'),
    ({'_base_': 'base.json'}, 'inherits from base.py'), ({'_base_': 'evil::a.py'}, 'evil::a.py'),
    ({'_base_': 'a.{ending}'}, 'inherits from itself'),
    ({'_base_': 'pipe.yml'}, 'is a pipe or a device'), ({'_base_': 'link.json'}, 'pipe or a dev'),
])
@pytest.mark.parametrize('ending', ['json', 'yml'])
def test_values_that_reach_python_are_refused(change, found, ending, tmp_path, evil):
    (tmp_path / 'base.json').write_text(json.dumps({'_base_': 'base.py'}))
    os.mkfifo(tmp_path / 'pipe.yml')
    (tmp_path / 'link.json').symlink_to('/dev/zero')
    path = tmp_path / f'a.{ending}'
    text = json.dumps({'model': MODEL, **change}).replace('{ending}', ending)
    path.write_text(text if ending == 'json' else yaml.dump(json.loads(text)))
    with pytest.raises(UserError) as caught:
        load_config(str(path))
    assert found in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize('ending', ['json', 'yml'])
def test_sound_files_are_read(ending, tmp_path):
    config = Config.fromfile(samples.write_config(tmp_path / 'a.py', samples.DETECTION, tmp_path))
    config.dump(tmp_path / f'base.{ending}')
    (tmp_path / f'a.{ending}').write_text(
        f'{{"_base_": ["base.{ending}"], "model": {{"backbone": {{"depth": 34}}}}}}')
    found = load_config(str(tmp_path / f'a.{ending}'))
    assert found.model.backbone.depth == 34 and found.model.type == config.model.type
    found.model.backbone.depth = 18
    assert json.dumps(found.model.to_dict(), sort_keys=True) == json.dumps(
        config.model.to_dict(), sort_keys=True)


@pytest.mark.slow
def test_the_tools_refuse_them_with_one_line(tmp_path):
    (tmp_path / 'a.yml').write_text(YAML['apply'].replace('{marker}', str(tmp_path / 'marker')))
    for tool in ('analysis_tools/check_config.py', 'train.py'):
        done = run_tool(tmp_path, tool, 'a.yml')
        assert done.returncode == 1 and 'Traceback' not in done.stderr
        assert 'a.yml' in done.stderr and not (tmp_path / 'marker').exists()


def test_the_config_of_a_run_is_not_run(tmp_path):
    marker = tmp_path / 'marker'
    write_start(tmp_path, 1, CLASSIFIER, [dict(lr=.1, loss=1., step=1)])
    config, = tmp_path.glob('*/vis_data/config.py')
    assert read_run(str(tmp_path)).config.model.backbone.kernel_size == 3
    text = config.read_text()
    config.write_text(f'{text}\nimport os\nos.mkdir({str(marker)!r})\n')
    with pytest.raises(UserError, match='is not a plain value but code'):
        read_run(str(tmp_path))
    config.write_text(f"{text}\n_base_ = '../../evil.py'\ncustom_imports = dict(imports=['evil'])")
    assert read_run(str(tmp_path)).config.model.backbone.kernel_size == 3
    assert not marker.exists()
