"""The configs of this repository, as the tests see them."""
import re
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from eca_mm.analysis import build_model, count_parameters
from eca_mm.analysis.uninitialised import WithoutInitialisation

ROOT = Path(__file__).resolve().parents[2]
# Paths below configs/ of everything that is in the metafiles; the demo is not.
ALL_CONFIGS = sorted(path.relative_to(ROOT / 'configs').as_posix()
               for path in (ROOT / 'configs').glob('[!_]*/*.py') if path.parent.name != 'demo')
DEMOS = sorted(path.relative_to(ROOT / 'configs').as_posix()
               for path in (ROOT / 'configs/demo').glob('*.py'))
EVENT_CONFIGS = [name for name in ALL_CONFIGS if name.startswith('event_fusion/')]
# Rows of the paper's tables: four GPUs.
PAPER_CONFIGS = [name for name in ALL_CONFIGS if '_4xb' in name]
CLASSIFIERS = [name for name in PAPER_CONFIGS if '_in1k' in name]
DETECTORS = [name for name in PAPER_CONFIGS if '_coco' in name]
# ECA with the authors' and with adaptive kernel sizes, and the detectors' plain baselines.
ECA_CLASSIFIERS = [name for name in CLASSIFIERS
                   if name.startswith(('eca_resnet/eca-resnet', 'eca_mobile'))]
PAIRED_DETECTORS = [name for name in DETECTORS if re.search(r'_(eca-)?r\d', name)]


@cache
def parameters() -> dict[str, int]:
    """Number of parameters of every config, as the metafiles have it."""
    return {model['Config'].removeprefix('configs/'): model['Metadata']['Parameters']
            for content in metafiles().values() for model in content['Models']}


def one_per_folder(names: list[str]) -> list:
    """The names as parameters of a test; all but the smallest ECA of each folder are slow.

    The smallest model of those folders that have none with ECA.
    """
    chosen: dict[str, str] = {}
    for name in sorted(names, key=lambda name: ('eca' not in name, parameters().get(name, 0))):
        chosen.setdefault(name.partition('/')[0], name)
    return [name if name in chosen.values() else pytest.param(name, marks=pytest.mark.slow)
            for name in names]


@cache
def _load(name: str) -> Config:
    return Config.fromfile(ROOT / 'configs' / name)


def load(name: str) -> Config:
    """The resolved config of a path below configs/, free to be changed."""
    return deepcopy(_load(name))


@cache
def counts(name: str) -> tuple[int, int]:
    """Numbers of all and of the trainable parameters that a config's model has when built."""
    with WithoutInitialisation():
        return count_parameters(build_model(load(name)))


@cache
def metafiles() -> dict[str, dict]:
    """Content of all metafiles that model-index.yml names, by path."""
    index = _read_yaml('model-index.yml')
    return {path: _read_yaml(path) for path in index['Import']}


def _read_yaml(path: str) -> dict:
    # libyaml's parser takes a tenth of the time.
    return yaml.load((ROOT / path).read_text(), getattr(yaml, 'CSafeLoader', yaml.SafeLoader))


def unscoped(node):
    """A part of a config without what says where it was inherited from."""
    if isinstance(node, dict):
        return {key: unscoped(value) for key, value in node.items() if key != '_scope_'}
    return [unscoped(value) for value in node] if isinstance(node, list | tuple) else node
