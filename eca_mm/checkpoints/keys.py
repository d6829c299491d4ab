"""Which weights of a checkpoint fit a model."""
import re
from collections.abc import Mapping
from dataclasses import dataclass

from rich.table import Table
from torch import Tensor

from eca_mm.utils.errors import UserError
from eca_mm.utils.terminal import printable


class MisfitError(UserError):
    """Weights that do not fit the model they seem to be of.

    Attributes:
        report (KeyReport): What fits and what does not.
    """

    def __init__(self, message: str, report: 'KeyReport') -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class KeyReport:
    """Comparison of a checkpoint's weights with those of a model.

    Attributes:
        matched (list[str]): Names in both, with the same shape.
        missing (list[str]): Names that only the model has.
        unexpected (list[str]): Names that only the checkpoint has.
        wrong_shape (list[str]): Names in both with different shapes, or with integers where
            fractions belong, each with the two.
    """

    matched: list
    missing: list
    unexpected: list
    wrong_shape: list

    @classmethod
    def compare(cls, model: Mapping, checkpoint: Mapping) -> 'KeyReport':
        """Compare a model with a checkpoint.

        Args:
            model (dict[str, Tensor]): The model's ``state_dict()``.
            checkpoint (dict): A state dict, or a dict that holds one under ``'state_dict'``. A
                leading ``module.`` (of a model saved inside its DDP wrapper) is dropped from its
                names, as mmengine does.

        Returns:
            KeyReport: The comparison. The batch counters of BN, which older files lack and which
            no inference uses, are not missing.
        """
        saved = {re.sub(r'^module\.', '', name): value
                 for name, value in checkpoint.get('state_dict', checkpoint).items()
                 if isinstance(value, Tensor)}
        both = [name for name in model if name in saved]
        differing = {name: _difference(saved[name], model[name]) for name in both}
        return cls(
            matched=[name for name in both if not differing[name]],
            missing=[name for name in model
                     if name not in saved and not name.endswith('num_batches_tracked')],
            unexpected=[name for name in saved if name not in model],
            wrong_shape=[f'{name} {what}' for name, what in differing.items() if what])

    @property
    def fits(self) -> bool:
        """Whether the weights are exactly those of the model."""
        return not (self.missing or self.unexpected or self.wrong_shape)

    def __str__(self) -> str:
        """The counts, with the first three names of each kind of misfit."""
        parts = [f'{len(self.matched)} weights match']
        for count, what in ((self.missing, 'are missing in it'),
                            (self.unexpected, 'belong to no layer of the model'),
                            (self.wrong_shape, 'have another shape')):
            if count:
                names = ', '.join(map(printable, count[:3])) + (', ...' if len(count) > 3 else '')
                parts.append(f'{len(count)} {what} ({names})')
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
            more = [f'... {len(names) - limit} more'] if len(names) > limit else []
            table.add_row(kind, str(len(names)),
                          '\n'.join([*map(printable, names[:limit]), *more]))
        return table


def _difference(saved: Tensor, wanted: Tensor) -> str:
    if saved.shape != wanted.shape:
        return f'{_shape(saved)}, not {_shape(wanted)}'
    if wanted.is_floating_point() and not saved.is_floating_point():
        return f'{saved.dtype}, not {wanted.dtype}'
    return ''


def _shape(tensor: Tensor) -> str:
    return 'x'.join(map(str, tensor.shape)) or 'scalar'
