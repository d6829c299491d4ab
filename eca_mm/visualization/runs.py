"""What training runs have written: mmengine's ``vis_data/scalars.json`` and config."""
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config

from eca_mm.compat.data_configs import values_from_text
from eca_mm.utils.errors import UserError

# What a validation writes besides its metrics.
_NO_METRICS = {'step', 'time', 'data_time', 'epoch', 'iter', 'memory'}


@dataclass
class Run:
    """The course of one training, over all its starts.

    Attributes:
        path (Path): The work directory, or one start of it.
        config (Config): The config of the last start.
        training (list[dict]): Records of training by iteration, each with ``step`` (iteration,
            from 1) and what was logged: ``loss``, ``lr`` ...
        validations (list[dict]): Metrics of the validations, each with ``step``: its iteration,
            or where it was logged by epoch that of the last record of training before it.
        notes (list[str]): Sentences on what was left out.
    """

    path: Path
    config: Config
    training: list = field(default_factory=list)
    validations: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def series(self, name: str) -> tuple[list, list]:
        """A logged value over the iterations.

        Args:
            name (str): ``loss``, ``lr``, ``coco/bbox_mAP`` ...

        Returns:
            tuple[list[int], list[float]]: Iterations and values; empty where it was not logged.
        """
        records = [r for r in (*self.training, *self.validations)
                   if isinstance(r.get(name), int | float)]
        return [r['step'] for r in records], [float(r[name]) for r in records]

    def result(self, name: str, best: bool = False) -> float:
        """A metric of the last validation, or the highest one of all.

        Args:
            name (str): Name of the metric.
            best (bool): Whether to take the highest. Defaults to False.

        Returns:
            float: Its value.

        Raises:
            UserError: If no validation has logged it.
        """
        _, values = self.series(name)
        if not values:
            there = sorted(set().union(*map(set, self.validations)) - _NO_METRICS)
            raise UserError(f'Run {self.path} has no {name}: ' + (
                f'its validations logged {", ".join(there)}.' if there else
                'it has logged no validation; train with a val_dataloader, val_cfg and '
                'val_evaluator.'))
        return max(values) if best else values[-1]


def read_run(path: str) -> Run:
    """Read a work directory.

    A work directory has one time-stamped folder for each start. A resumed start continues where its
    checkpoint was, and what the start before it had logged beyond is dropped; a start from the
    beginning replaces all before it. Starts without a record of training, such as tests, are
    passed over, and so is a last line that a killed process has left unfinished.

    Args:
        path (str): A work directory, or a time-stamped folder in one for that start alone.

    Returns:
        Run: The run.

    Raises:
        UserError: If there is no record of training in it, or a record cannot be read.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f'Work directory {path} does not exist.')
    files = sorted(folder.glob('vis_data/scalars.json')) or sorted(
        folder.glob('*/vis_data/scalars.json'))
    if not files:
        raise UserError(f'{path} is not a work directory of a training: it has no '
                        '<time>/vis_data/scalars.json.')
    run, starts = None, []
    for file in files:
        training, validations = _split(_records(file))
        if training:
            starts.append((file, training, validations, _config(file.parent / 'config.py')))
    for file, training, validations, config in _in_order(starts):
        first = training[0]['step']
        if run is None or not config.get('resume'):
            notes: list[str] = [] if run is None else [
                f'{path}: the start of {file.parts[-3]} was not resumed; what was logged before '
                'it is left out.']
            run = Run(folder, config, training, validations, notes)
        else:
            run.config = config
            run.training = [r for r in run.training if r['step'] < first] + training
            run.validations = [r for r in run.validations if r['step'] < first] + validations
    if run is None:
        raise UserError(f'{path} has no record of training in its scalars.json; a run is logged '
                        'after the first default_hooks.logger.interval iterations.')
    return run


def _in_order(starts: list[tuple]) -> list[tuple]:
    """Order the starts of a run, whose names hold the time of a clock that may have been set back.

    Those that were resumed are ordered by the iteration that they began with. They follow the
    start from the beginning that is named before them, or, where there is none, the first one.
    """
    groups: list[tuple[list, list]] = [([], [])]
    for start in starts:
        if start[3].get('resume'):
            groups[-1][1].append(start)
        elif not groups[-1][0] and len(groups) == 1:
            groups[-1][0].append(start)
        else:
            groups.append(([start], []))
    return [start for first, resumed in groups for start in (
        *first, *sorted(resumed, key=lambda start: start[1][0]['step']))]


def run_files(paths: Iterable[str]) -> list[str]:
    """List what :func:`read_run` reads.

    Args:
        paths (Iterable[str]): Work directories, or time-stamped folders in them.

    Returns:
        list[str]: The files of their logs and configs.
    """
    return [str(file) for path in paths for pattern in ('vis_data/*', '*/vis_data/*')
            for file in Path(path).glob(pattern)]


def _config(path: Path) -> Config:
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeError) as error:
        raise UserError(f'{path} cannot be read: {type(error).__name__}: {error}.') from error
    # mmengine has dumped plain values there; a folder from elsewhere may hold a program.
    return Config(values_from_text(text, str(path)))


def _records(path: Path) -> list[dict]:
    records = []
    lines = path.read_text(encoding='utf-8').splitlines()
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                break
            raise UserError(f'{path} is broken in line {number}: {error}.') from error
        if not isinstance(record, dict) or not isinstance(record.get('step'), int):
            raise UserError(f'{path} is not what mmengine writes: line {number} has no step.')
        records.append(record)
    return records


def _split(records: list[dict]) -> tuple[list, list]:
    training, validations = [], []
    for record in records:
        # Validation logs no learning rate, and its step is an iteration or an epoch.
        if 'lr' in record:
            training.append(record)
        elif set(record) - _NO_METRICS:
            last = training[-1]['step'] if training else 0
            validations.append({**record, 'step': max(last, record['step'])})
    return training, validations
