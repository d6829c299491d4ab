"""The config under examination, and what its checks find."""
import contextlib
import copy
import io
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mmdet.datasets import CocoDataset, CocoPanopticDataset
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, MODELS
from torch import nn

from eca_mm.datasets import CheckedCocoDataset
from eca_mm.datasets.coco_index import CheckedCOCO
from eca_mm.datasets.pipelines import leaf_datasets
from eca_mm.engine.config import scope
from eca_mm.utils.errors import UserError
from eca_mm.utils.explain import explain
from eca_mm.utils.pretrained import pretrained_configs

from .lookup import find

SPLITS = ('train', 'val', 'test')


@dataclass(frozen=True)
class Finding:
    """One problem of a config.

    Attributes:
        level (str): ``'error'``: the run would fail or its result would be wrong; ``'warning'``:
            it may be meant so.
        check (str): What was checked: ``'keys'``, ``'classes'``, ``'data'``, ``'weights'``,
            ``'lr'``, ``'frozen'``, ``'bn'``, ``'evaluator'``, ``'model'``, ``'pipeline'``,
            ``'schedule'``, ``'backends'`` or ``'runtime'``.
        where (str): Dotted key of the config.
        message (str): What is wrong there.
        expected (str): What would be right.
    """

    level: str
    check: str
    where: str
    message: str
    expected: str


@dataclass(frozen=True)
class DataSet:
    """A data set of the config, built without reading its annotations.

    Attributes:
        split (str): ``'train'``, ``'val'`` or ``'test'``.
        where (str): Dotted key of its settings.
        cfg (dict): Its settings.
        built (BaseDataset | None): None if it cannot be built or is of another kind.
        error (str): Why it cannot be built.
    """

    split: str
    where: str
    cfg: dict
    built: Any
    error: str = ''

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes that it is given or has by itself."""
        names = None if self.built is None else self.built.metainfo.get('classes')
        return None if names is None or isinstance(names, str) else tuple(names)


    @property
    def has_instances(self) -> bool:
        """Whether its annotations are a file of COCO's instances, with nothing of its own."""
        kind = type(self.built)
        return (isinstance(self.built, CocoDataset)
                and not isinstance(self.built, CocoPanopticDataset)
                and kind.load_data_list in (CocoDataset.load_data_list,
                                            CheckedCocoDataset.load_data_list))


class ConfigContext:
    """A config with everything that several checks need to know about it, read once.

    Args:
        config (Config): A resolved config.
        gpus (int, optional): Number of processes of the run.
    """

    def __init__(self, config: Config, gpus: int | None = None) -> None:
        self.config = config
        self.scope = scope(config)
        named = re.search(r'[_-](\d+)xb\d+', str(config.filename or '').rpartition('/')[2])
        self.gpus = gpus or (int(named[1]) if named else 1)
        # Else it may well be another.
        self.knows_gpus = bool(gpus or named)
        self._coco: dict[str, CheckedCOCO | UserError] = {}
        # Errors of the checks so far: what has one is not built to say it again.
        self.reported: list[Finding] = []

    @cached_property
    def model(self) -> nn.Module:
        """The whole model, without its trained weights."""
        return self.build_model(self.config.model)

    def build_model(self, settings: dict) -> nn.Module:
        """Build a model with other settings.

        Args:
            settings (dict): What stands for ``model`` of the config.

        Returns:
            nn.Module: The model, without its trained weights.
        """
        cfg = copy.deepcopy(settings)
        if self.config.get('data_preprocessor') is not None:
            cfg.setdefault('data_preprocessor', copy.deepcopy(self.config.data_preprocessor))
        return MODELS.build(cfg)

    def is_repeated(self, split: str) -> bool:
        """Whether the test data are the validation data."""
        return split == 'test' and (self.config.get('test_dataloader')
                                    == self.config.get('val_dataloader'))

    def dataset_config(self, split: str) -> dict | None:
        """Settings of a split's data set."""
        cfg = (self.config.get(f'{split}_dataloader') or {}).get('dataset')
        return cfg if isinstance(cfg, dict) else None

    def full(self, split: str) -> BaseDataset:
        """Build a split's data set as a run would, annotations and pipeline included."""
        return DATASETS.build(copy.deepcopy(dict(self.dataset_config(split) or {})))

    def metrics(self, split: str) -> list[tuple[str, dict]]:
        """Dotted keys and settings of a split's metrics; none where the test repeats val."""
        where = f'{split}_evaluator'
        evaluator = self.config.get(where)
        if evaluator is None or (self.is_repeated(split)
                                 and evaluator == self.config.get('val_evaluator')):
            return []
        if isinstance(evaluator, dict):
            evaluator = evaluator.get('metrics', evaluator)
        if isinstance(evaluator, list | tuple):
            return [(f'{where}.{index}', metric) for index, metric in enumerate(evaluator)
                    if isinstance(metric, dict)]
        return [(where, evaluator)]

    @cached_property
    def datasets(self) -> list[DataSet]:
        """All data sets, without wrappers such as RepeatDataset."""
        found: list[DataSet] = []
        for split in SPLITS:
            loader = self.config.get(f'{split}_dataloader')
            if self.is_repeated(split):
                continue
            if loader and isinstance(loader.get('dataset'), dict):
                found += [self._build(split, where, cfg) for where, cfg in leaf_datasets(
                    loader['dataset'], f'{split}_dataloader.dataset')]
        return found

    def of(self, split: str) -> list[DataSet]:
        """The data sets of one split; those of a test that is the validation are that one's."""
        return [data for data in self.datasets
                if data.split == ('val' if self.is_repeated(split) else split)]

    @property
    def batch_size(self) -> int | None:
        """Training images per process."""
        return (self.config.get('train_dataloader') or {}).get('batch_size')

    @property
    def starts_from_weights(self) -> bool:
        """Whether the whole model starts from trained weights."""
        config = self.config
        return bool(config.get('load_from') or config.get('resume')
                    or has_pretrained(config.model))

    def is_reported(self, where: str) -> bool:
        """Whether an error is known that keeps a part of the config from being built."""
        return any(finding.where == where or finding.where.startswith(f'{where}.')
                   for finding in self.reported
                   if finding.level == 'error' and (
                       finding.check in ('keys', 'data', 'evaluator')
                       or (finding.check == 'classes' and where != 'model')))

    def coco(self, path: str) -> CheckedCOCO:
        """Read a COCO annotation file once.

        Args:
            path (str): The file.

        Returns:
            CheckedCOCO: Its index.

        Raises:
            UserError: If it is not a usable annotation file.
        """
        if path not in self._coco:
            try:
                # pycocotools reports its progress on standard output.
                with contextlib.redirect_stdout(io.StringIO()):
                    self._coco[path] = CheckedCOCO(path)
            except UserError as error:
                self._coco[path] = error
        found = self._coco[path]
        if isinstance(found, UserError):
            raise found
        return found

    def _build(self, split: str, where: str, cfg: dict) -> DataSet:
        kind = find(cfg.get('type'), DATASETS, cfg.get('_scope_') or self.scope)
        if not (isinstance(kind, type) and issubclass(kind, BaseDataset)):
            return DataSet(split, where, cfg, None)
        options = {**copy.deepcopy(dict(cfg)), 'pipeline': [], 'lazy_init': True}
        try:
            return DataSet(split, where, cfg, DATASETS.build(options))
        except Exception as error:
            # What does not fit its constructor is for the check of the keys to tell.
            return DataSet(split, where, cfg, None, explain(error) or str(error))


def has_pretrained(cfg: dict) -> bool:
    """Whether a module's own settings name trained weights."""
    return bool(cfg.get('pretrained') or pretrained_configs(cfg.get('init_cfg')))
