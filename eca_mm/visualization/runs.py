"""What training runs have written: mmengine's ``vis_data/scalars.json`` and config."""
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config

from eca_mm.compat.data_configs import values_from_text
from eca_mm.utils.errors import UserError

from .run_records import read_records, read_text
from .run_starts import Start, last_branch, records_of

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
            name (str): ``loss``, ``lr``, ``coco/bbox_mAP`` ...; ``val/loss`` is what the
                validations logged where training has a value of that name too.

        Returns:
            tuple[list[int], list[float]]: Iterations and values; empty where it was not logged.
        """
        for records, key in ((self.training, name), (self.validations, name),
                             (self.validations, name.removeprefix('val/'))):
            found = [r for r in records if _is_number(r.get(key))]
            if found:
                return [r['step'] for r in found], [float(r[key]) for r in found]
        return [], []

    def metrics(self) -> list[str]:
        """Names of what the validations logged."""
        return _names(self.validations)

    def names(self) -> list[str]:
        """Names that :meth:`series` knows, those of training first."""
        training = _names(self.training)
        return [*training, *(f'val/{name}' if name in training else name
                             for name in self.metrics())]

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
            there = sorted(self.metrics())
            raise UserError(f'Run {self.path} has no {name}: ' + (
                f'its validations logged {", ".join(there)}.' if there else
                'it has logged no validation; train with a val_dataloader, val_cfg and '
                'val_evaluator.'))
        return max(values) if best else values[-1]


def read_run(path: str) -> Run:
    """Read a work directory.

    A work directory has one time-stamped folder for each start. A resumed start continues the
    latest start before it that has reached its checkpoint, and what that one had logged beyond is
    left out; a start from the beginning replaces all before it. So the run is what led to its last
    start, and results of a branch that was given up do not count. Where the times in the names
    contradict the iterations, because a clock was set back, the iterations count. Starts without a
    record of training, such as tests, are passed over, and so is a last line that a killed process
    has left unfinished.

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
    starts: list[Start] = []
    for file in files:
        parts = list(_split(read_records(file)))
        config = _config(file.parent / 'config.py') if parts else Config()
        for number, (training, validations) in enumerate(parts):
            # Of several starts in one file, under a clock that stood still, the config is the last.
            resumed = bool(config.get('resume')) if number == 0 else (
                training[0]['step'] > parts[0][0][0]['step'])
            starts.append(Start(file.parts[-3], config, training, validations, resumed))
    if not starts:
        raise UserError(f'{path} has no record of training in its scalars.json; a run is logged '
                        'after the first default_hooks.logger.interval iterations.')
    branch, notes = last_branch(starts)
    training, validations = records_of(branch)
    return Run(folder, branch[-1][0].config, training, validations,
               [f'{path}: {note}' for note in notes])


def run_files(paths: Iterable[str]) -> list[str]:
    """List what :func:`read_run` reads.

    Args:
        paths (Iterable[str]): Work directories, or time-stamped folders in them.

    Returns:
        list[str]: The files of their logs and configs.
    """
    return [str(file) for path in paths for pattern in ('vis_data/*', '*/vis_data/*')
            for file in Path(path).glob(pattern)]


def _names(records: list[dict]) -> list[str]:
    return [name for name in dict.fromkeys(key for record in records for key in record
                                           if _is_number(record[key]))
            if name not in _NO_METRICS]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _config(path: Path) -> Config:
    # mmengine has dumped plain values there; a folder from elsewhere may hold a program.
    return Config(values_from_text(read_text(path, 2**24), str(path)))


def _split(records: list[dict]) -> Iterator[tuple[list[dict], list[dict]]]:
    """Records of training and of validations, for each start that has logged into one file."""
    training: list[dict] = []
    validations: list[dict] = []
    for record in records:
        # Validation logs no learning rate, and its step is an iteration or an epoch.
        if 'lr' in record:
            if training and record['step'] <= training[-1]['step']:
                yield training, validations
                training, validations = [], []
            training.append(record)
        elif set(record) - _NO_METRICS:
            last = training[-1]['step'] if training else 0
            validations.append({**record, 'step': max(last, record['step'])})
    if training:
        yield training, validations
