"""Which weights of a checkpoint fit a model."""
import re
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class KeyReport:
    """Comparison of a checkpoint's weights with those of a model.

    Attributes:
        matched (list[str]): Names in both, with the same shape.
        missing (list[str]): Names that only the model has.
        unexpected (list[str]): Names that only the checkpoint has.
        wrong_shape (list[str]): Names in both with different shapes, each with the two shapes.
    """

    matched: list
    missing: list
    unexpected: list
    wrong_shape: list

    @classmethod
    def compare(cls, model: dict, checkpoint: dict) -> 'KeyReport':
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
        differing = [name for name in both if model[name].shape != saved[name].shape]
        return cls(
            matched=[name for name in both if name not in set(differing)],
            missing=[name for name in model
                     if name not in saved and not name.endswith('num_batches_tracked')],
            unexpected=[name for name in saved if name not in model],
            wrong_shape=[f'{name} {_shape(saved[name])}, not {_shape(model[name])}'
                         for name in differing])

    def __str__(self) -> str:
        """The counts, with the first three names of each kind of misfit."""
        parts = [f'{len(self.matched)} weights match']
        for count, what in ((self.missing, 'are missing in it'),
                            (self.unexpected, 'belong to no layer of the model'),
                            (self.wrong_shape, 'have another shape')):
            if count:
                names = ', '.join(count[:3]) + (', ...' if len(count) > 3 else '')
                parts.append(f'{len(count)} {what} ({names})')
        return ', '.join(parts)


def _shape(tensor: Tensor) -> str:
    return 'x'.join(map(str, tensor.shape)) or 'scalar'
