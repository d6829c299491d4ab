"""Every command and snippet in the documents is run or checked."""
import re
import runpy
import tempfile
from functools import cache
from pathlib import Path

import pytest
from mmengine.config import Config

from eca_mm.analysis import build_model
from eca_mm.config_check import check_config
from tests.conftest import REPOSITORY
from tests.support.catalog import metafiles
from tests.support.processes import run_tool

DOCUMENTS = ('README.md', 'CONTRIBUTING.md', 'configs/README.md', *(
    f'docs/{page}.md' for page in ('attentions', 'getting_started', 'index', 'installation',
                                   'scaling', 'stability', 'troubleshooting')))
TEXTS = {name: (REPOSITORY / name).read_text() for name in DOCUMENTS}


def blocks(language: str) -> list:
    """The fenced blocks of a language in all documents, as test parameters."""
    return [pytest.param(block, id=f'{name}-{i}') for name, text in TEXTS.items()
            for i, block in enumerate(re.findall(rf'^```{language}\n(.*?)^```', text, re.M | re.S))]


def commands(start: str) -> list[str]:
    """Everything in the documents' code, blocks or words in backticks, that starts so."""
    found = set()
    for text in TEXTS.values():
        code = re.findall(r'^(?:```bash\n(.*?)^```|    (.*?)$)|`([^`\n]+)`', text, re.M | re.S)
        for line in '\n'.join(map(''.join, code)).replace('\\\n', ' ').splitlines():
            line = line.partition(' #')[0].strip()
            if re.match(start, line):
                found.add(line)
    return sorted(found)


@cache
def options(tool: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return run_tool(Path(folder), tool, '--help').stdout


@pytest.mark.parametrize('text', blocks('python'))
def test_python_snippet(text, tmp_path):
    path = tmp_path / 'snippet.py'
    path.write_text(text)
    if '_base_' not in text:
        runpy.run_path(str(path))
        return
    config = Config.fromfile(path)
    assert 'eca_mm' in config.custom_imports.imports
    assert any(name.endswith('.eca') for name, _ in build_model(config).named_modules())
    # Data and weights are not here, and the number of GPUs is the reader's.
    assert [finding for finding in check_config(config) if finding.level == 'error'
            and finding.check not in ('data', 'weights', 'lr')] == []


@pytest.mark.parametrize('line', commands(r'(python|bash) (tools|\$TOOLS)/'))
def test_tool_and_its_options_exist(line):
    _, script, *arguments = line.replace('$TOOLS', 'tools').split()
    assert (REPOSITORY / script).is_file()
    tool = re.sub(r'tools/(?:dist|slurm)_(\w+)\.sh', r'\1.py', script).removeprefix('tools/')
    for option in re.findall(r'--[a-z-]+', ' '.join(arguments)):
        assert re.search(rf'{option}\b', options(tool)), f'{script} has no {option}'


@pytest.mark.parametrize('line', commands('make '))
def test_make_target_exists(line):
    target = line.split()[1]
    assert re.search(rf'^{target}:', (REPOSITORY / 'Makefile').read_text(), re.M)


def test_complexity_command_prints_the_promised_figure(tmp_path):
    line, = (c for c in commands('python tools/analysis_tools/complexity.py') if '--json' in c)
    _, script, config, *rest = line.split()
    done = run_tool(tmp_path, script.removeprefix('tools/'), REPOSITORY / config, *rest)
    assert done.returncode == 0, done.stderr
    assert '25,557,112' in done.stdout
    assert (tmp_path / rest[-1]).is_file()


@pytest.mark.parametrize('name', DOCUMENTS)
def test_links_and_files_exist(name):
    folder = (REPOSITORY / name).parent
    links = {link.partition('#')[0] for link in re.findall(r'\]\((?!http)([^)]+)\)', TEXTS[name])}
    assert {link for link in links if not (folder / link).exists()} == set()
    named = set(re.findall(r'(?<![\w/.])(?:tools|configs|requirements|docs|tests)/[\w./-]+\.\w+',
                           TEXTS[name]))
    assert {path for path in named if not (REPOSITORY / path).exists()} == set()


def test_table_of_configs_agrees_with_the_metafiles():
    entries = {}
    for content in metafiles().values():
        for model in content['Models']:
            entries[model['Config']] = model
    rows = re.findall(r'^\| \[(.+)\]\((.+)\) \| ([\d.]+)M \| (.+) \|$', TEXTS['README.md'], re.M)
    assert rows
    for name, path, parameters, accuracies in rows:
        assert name == entries[path]['Name']
        assert parameters == f'{entries[path]["Metadata"]["Parameters"] / 1e6:.2f}'
        metrics = {name: value for result in entries[path]['Results']
                   for name, value in result['Metrics'].items()}
        shown = [float(accuracy) for accuracy in accuracies.split(', ')]
        assert shown == [value for name, value in metrics.items() if name != 'Top 5 Accuracy']


def test_pinned_versions_are_those_of_the_constraints():
    constraints = (REPOSITORY / 'requirements' / 'constraints.txt').read_text()
    table = '\n'.join(re.findall(r'^\| (?:torch|mm).*$', TEXTS['docs/installation.md'], re.M))
    for package in ('torch', 'torchvision', 'mmengine', 'mmcv-lite', 'mmdet', 'mmpretrain'):
        version, = re.findall(rf'^{package}==(.+)$', constraints, re.M)
        assert version in table


def test_readme_is_short_and_in_the_order_that_a_newcomer_needs():
    text = TEXTS['README.md']
    assert len(text.split()) < 1100
    parts = ['![', '\n## ECA in your own model', 'plugins=[', 'make demo', '\n## Install',
             '\n## Inherit', '\n## Train and test', '\n## Where to look']
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


@pytest.mark.parametrize('name', ['README.md', 'docs/model_zoo.md'])
def test_disclaimer_precedes_the_first_accuracy(name):
    text = (REPOSITORY / name).read_text()
    first = re.search(r'\btop-1\b|\bAP of\b|\d\d\.\d\d? \|$', text, re.M).start()
    assert re.search(r"paper's accuracies were not reproduced|none of them was\s+measured here",
                     text[:first])
