"""The configs of this repository, as the tests see them."""
import re
from copy import deepcopy
from functools import cache
from pathlib import Path

import yaml
from mmengine.config import Config

from eca_mm.analysis import build_model, count_parameters

ROOT = Path(__file__).resolve().parents[2]
# Paths below configs/ of everything that is in the metafiles; the demo is not.
ALL_CONFIGS = sorted(path.relative_to(ROOT / 'configs').as_posix()
               for path in (ROOT / 'configs').glob('[!_]*/*.py') if path.parent.name != 'demo')
DEMOS = sorted(path.relative_to(ROOT / 'configs').as_posix()
               for path in (ROOT / 'configs/demo').glob('*.py'))
# Two ResNet-50s each; a few of them stand for all in a fast look.
EVENT_CONFIGS = [name for name in ALL_CONFIGS if name.startswith('event_fusion/')]
SOME_CONFIGS = [name for name in ALL_CONFIGS if name not in EVENT_CONFIGS or name in (
    'event_fusion/retinanet_2xr50-eca_fpn_dsec.py',
    'event_fusion/retinanet_2xr50-concat_fpn_ddd17-published.py')]
# Rows of the paper's tables: four GPUs.
PAPER_CONFIGS = [name for name in ALL_CONFIGS if '_4xb' in name]
CLASSIFIERS = [name for name in PAPER_CONFIGS if '_in1k' in name]
DETECTORS = [name for name in PAPER_CONFIGS if '_coco' in name]
# ECA with the authors' and with adaptive kernel sizes, and the detectors' plain baselines.
ECA_CLASSIFIERS = [name for name in CLASSIFIERS
                   if name.startswith(('eca_resnet/eca-resnet', 'eca_mobile'))]
PAIRED_DETECTORS = [name for name in DETECTORS if re.search(r'_(eca-)?r\d', name)]


@cache
def _load(name: str) -> Config:
    return Config.fromfile(ROOT / 'configs' / name)


def load(name: str) -> Config:
    """The resolved config of a path below configs/, free to be changed."""
    return deepcopy(_load(name))


@cache
def counts(name: str) -> tuple[int, int]:
    """Numbers of all and of the trainable parameters that a config's model has when built."""
    return count_parameters(build_model(load(name)))


@cache
def metafiles() -> dict[str, dict]:
    """Content of all metafiles that model-index.yml names, by path."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    return {path: yaml.safe_load((ROOT / path).read_text()) for path in index['Import']}
