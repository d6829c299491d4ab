"""The consistency of the project's own files: hooks, versions, releases."""
import re
import runpy

import pytest
import yaml

from tests.conftest import REPOSITORY

PROBLEM = runpy.run_path(str(REPOSITORY / '.dev_scripts/check_release.py'))['problem']


def test_pre_commit_runs_the_pinned_versions():
    constraints = (REPOSITORY / 'requirements/constraints.txt').read_text()
    hooks = yaml.safe_load((REPOSITORY / '.pre-commit-config.yaml').read_text())['repos']
    assert len(hooks) == 3
    for hook in hooks:
        package = hook['repo'].rpartition('/')[2].removesuffix('-pre-commit')
        assert f'\n{package}=={hook["rev"].removeprefix("v")}\n' in constraints


@pytest.mark.parametrize('path', sorted((REPOSITORY / '.github').rglob('*.yml')),
                         ids=lambda path: path.name)
def test_workflows_and_templates_parse_and_call_targets_that_exist(path):
    text = path.read_text()
    assert yaml.safe_load(text)
    makefile = (REPOSITORY / 'Makefile').read_text()
    for target in re.findall(r'run: make ([\w-]+)', text):
        assert re.search(rf'^{target}:', makefile, re.M)


@pytest.mark.parametrize(('tag', 'changelog', 'expected'), [
    ('v1.2.3', '## [1.2.3] - 2026-01-31\n', None),
    ('1.2.3', '## [1.2.3] - 2026-01-31\n', 'it must be v1.2.3'),
    ('v1.2.4', '## [1.2.3] - 2026-01-31\n', 'has 1.2.3'),
    ('v1.2.3', '## [Unreleased]\n', 'has no section "## [1.2.3]'),
    ('v1.2.3', '## [1.2.30] - 2026-01-31\n', 'has no section')])
def test_release_needs_one_version_everywhere(tmp_path, tag, changelog, expected):
    (tmp_path / 'eca_mm').mkdir()
    (tmp_path / 'eca_mm/version.py').write_text("__version__ = '1.2.3'\n")
    (tmp_path / 'CHANGELOG.md').write_text(changelog)
    found = PROBLEM(tag, tmp_path)
    assert found is None if expected is None else expected in found
