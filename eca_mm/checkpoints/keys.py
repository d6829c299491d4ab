"""Which weights of a checkpoint fit a model."""
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.table import Table
from torch import Tensor, nn

from eca_mm.utils.errors import UserError
from eca_mm.utils.pretrained import weights_as_loaded
from eca_mm.utils.terminal import printable


class MisfitError(UserError):
    """Weights that do not fit the model that they are loaded into.

    Attributes:
        report (KeyReport): What fits and what does not.
    """

    def __init__(self, message: str, report: 'KeyReport') -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class PrefixFound:
    """A difference at the start of the names that keeps weights from matching.

    Attributes:
        checkpoint (str): What the checkpoint's names start with, e.g. ``'backbone.'``; may be
            empty.
        model (str): What those of the model start with in its place; may be empty.
        matches (int): Number of weights that would match without the difference.
    """

    checkpoint: str
    model: str
    matches: int

    def __str__(self) -> str:
        """What would match, and after which change of the names."""
        theirs, ours = printable(repr(self.checkpoint)), printable(repr(self.model))
        if not self.model:
            change = f"without the prefix {theirs} of the checkpoint's names"
        elif not self.checkpoint:
            change = f"with the prefix {ours} before the checkpoint's names"
        else:
            change = f"with the prefix {ours} in place of {theirs} in the checkpoint's names"
        return f'{self.matches} would match {change}'


@dataclass(frozen=True)
class KeyReport:
    """Comparison of a checkpoint's weights with those of a model.

    Attributes:
        matched (list[str]): Names in both, with the same shape.
        missing (list[str]): Names that only the model has.
        unexpected (list[str]): Names that only the checkpoint has.
        wrong_shape (list[str]): Names in both with different shapes, or with integers where
            fractions belong, each with the two.
        prefix (PrefixFound | None): The difference in prefix that explains a misfit, if any.
    """

    matched: list
    missing: list
    unexpected: list
    wrong_shape: list
    prefix: PrefixFound | None = None

    @classmethod
    def compare(cls, model: Mapping, checkpoint: Mapping, prefix: str = '') -> 'KeyReport':
        """Compare a model with a checkpoint.

        Args:
            model (dict[str, Tensor]): The model's ``state_dict()``.
            checkpoint (dict): A state dict, or a dict that holds one under ``'state_dict'``. A
                leading ``module.`` (of a model saved inside its DDP wrapper) is dropped from its
                names, as mmengine does where no prefix is given.
            prefix (str): Compare only the weights whose names start with it, without it.

        Returns:
            KeyReport: The comparison. The batch counters of BN, which older files lack and which
            no inference uses, are not missing.
        """
        weights = {str(name): value
                   for name, value in checkpoint.get('state_dict', checkpoint).items()
                   if isinstance(value, Tensor)}
        saved = weights_as_loaded(weights, prefix)
        both = [name for name in model if name in saved]
        differing = {name: _difference(saved[name], model[name]) for name in both}
        matched = [name for name in both if not differing[name]]
        missing = [name for name in model
                   if name not in saved and not name.endswith('num_batches_tracked')]
        # Under a given prefix the whole file is searched for the right one.
        found = _find_prefix(model, weights if prefix else saved) if missing else None
        return cls(
            matched=matched, missing=missing,
            unexpected=[name for name in saved if name not in model],
            wrong_shape=[f'{name} {what}' for name, what in differing.items() if what],
            prefix=found if found and found.matches > len(matched) else None)

    @property
    def fits(self) -> bool:
        """Whether the weights are exactly those of the model."""
        return not (self.missing or self.unexpected or self.wrong_shape)

    def __str__(self) -> str:
        """The counts and names of each kind of misfit, and the prefix that explains it."""
        parts = [f'{len(self.matched)} weights match']
        for count, what in ((self.missing, 'are missing in it'),
                            (self.unexpected, 'belong to no layer of the model'),
                            (self.wrong_shape, 'have another shape')):
            if count:
                parts.append(f'{len(count)} {what} ({summarize(count)})')
        if self.prefix:
            parts.append(str(self.prefix))
        return ', '.join(parts)

    def table(self, limit: int = 20) -> Table:
        """The comparison as a table.

        Args:
            limit (int): Number of names to list of each kind of misfit.

        Returns:
            Table: One row per kind, for rich's console.
        """
        table = Table('weights', 'number', 'names', title='checkpoint against model')
        table.add_row('matched', str(len(self.matched)), '')
        for kind, names in (('missing', self.missing), ('unexpected', self.unexpected),
                            ('wrong shape', self.wrong_shape)):
            lines = grouped(names, limit) if len(names) > limit else map(printable, names)
            table.add_row(kind, str(len(names)), '\n'.join(lines))
        if self.prefix:
            table.add_row('prefix', '', str(self.prefix))
        return table


def check_fit(model: Mapping, checkpoint: Mapping, misfit: str, advice: str = '',
              require: Literal['all', 'shapes', 'any'] = 'all', prefix: str = '') -> KeyReport:
    """Refuse weights that do not fit a model.

    Args:
        model (dict[str, Tensor]): The model's ``state_dict()``.
        checkpoint (dict): A state dict, or a dict that holds one under ``'state_dict'``.
        misfit (str): How the error begins, e.g. ``'Checkpoint a.pth does not fit the model'``.
        advice (str): What to do about it, if there is something.
        require (str): ``'all'``: exactly the model's weights; ``'shapes'``: at least one of
            them, and none of another shape; ``'any'``: at least one. Defaults to ``'all'``.
        prefix (str): Compare only the weights whose names start with it, without it.

    Returns:
        KeyReport: The comparison.

    Raises:
        MisfitError: If the weights do not fit.
    """
    report = KeyReport.compare(model, checkpoint, prefix)
    fits = report.fits if require == 'all' else bool(report.matched)
    if not fits or (require == 'shapes' and report.wrong_shape):
        raise MisfitError(f'{misfit}: {report}{"; " if advice else ""}{advice}.', report)
    return report


def load_fitting(model: nn.Module, checkpoint: Mapping, path: str) -> KeyReport:
    """Load weights that must be exactly those of a model.

    Args:
        model (nn.Module): Takes the weights.
        checkpoint (dict): A state dict, or a dict that holds one under ``'state_dict'``.
        path (str): Where it comes from, for the error.

    Returns:
        KeyReport: The comparison.

    Raises:
        MisfitError: If weights are missing, unexpected or of another shape.
    """
    report = check_fit(model.state_dict(), checkpoint, f'Checkpoint {path} does not fit the model',
                       'use the config that it was trained with')
    # Not strict, for old files lack the batch counters of BN.
    model.load_state_dict(weights_as_loaded(checkpoint), strict=False)
    return report


def summarize(names: Sequence[str], limit: int = 3) -> str:
    """Name a few weights, or the first of many and the parts of the network that they are in.

    Args:
        names (Sequence[str]): The names.
        limit (int): Up to so many are all named. Defaults to 3.

    Returns:
        str: For example ``layer1.0.eca.conv.weight, ...: layer1.*.eca.conv (3), head.fc (2)``.
    """
    if len(names) <= limit:
        return ', '.join(map(printable, names))
    return f'{printable(names[0])}, ...: {", ".join(grouped(names))}'


def grouped(names: Sequence[str], limit: int = 8) -> list[str]:
    """Group names of weights by the modules that they belong to.

    Args:
        names (Sequence[str]): The names. What follows a space is not part of a name.
        limit (int): Number of groups to aim at: shorter prefixes are taken until there are no
            more. Defaults to 8.

    Returns:
        list[str]: In order of appearance, each prefix with its number of names. Indices are
        written as ``*``; a name that is alone in its group is given in full.
    """
    paths = [name.partition(' ')[0].split('.') for name in names]
    depth = min(max((len(path) for path in paths), default=1), 16)
    groups: dict[str, list[str]] = {}
    while depth:
        groups = defaultdict(list)
        for path, name in zip(paths, names, strict=True):
            module = (path[:-1] or path)[:depth]
            groups['.'.join('*' if part.isdigit() else part for part in module)].append(name)
        if len(groups) <= limit:
            break
        depth -= 1
    lines = [printable(inside[0] if len(inside) == 1 else f'{group} ({len(inside)})')
             for group, inside in groups.items()]
    rest = sum(len(inside) for inside in list(groups.values())[limit:])
    return lines[:limit] + ([f'... {rest} more'] if rest else [])


def _find_prefix(model: Mapping, saved: Mapping) -> PrefixFound | None:
    """The change of prefix under which most weights match, at least half of the fewer."""
    ours = defaultdict(list)
    for name, value in model.items():
        for prefix, rest in _splits(name):
            ours[rest].append((prefix, value))
    counts = Counter((theirs, prefix) for name, value in saved.items()
                     for theirs, rest in _splits(name) for prefix, wanted in ours.get(rest, ())
                     if (theirs or prefix) and not _difference(value, wanted))
    if not counts:
        return None
    (theirs, prefix), matches = min(counts.items(),
                                    key=lambda item: (-item[1], len(item[0][0] + item[0][1])))
    if 2 * matches < min(len(model), len(saved)):
        return None
    return PrefixFound(theirs, prefix, matches)


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """A name as a prefix of up to three modules and the rest."""
    yield '', name
    parts = name.split('.', 3)
    for number in range(1, len(parts)):
        yield '.'.join(parts[:number]) + '.', '.'.join(parts[number:])


def _difference(saved: Tensor, wanted: Tensor) -> str:
    if saved.shape != wanted.shape:
        return f'{_shape(saved)}, not {_shape(wanted)}'
    if wanted.is_floating_point() and not saved.is_floating_point():
        return f'{saved.dtype}, not {wanted.dtype}'
    return ''


def _shape(tensor: Tensor) -> str:
    return 'x'.join(map(str, tensor.shape)) or 'scalar'
