"""Reading pickles of checkpoints: scanned first, then built from a short list of names.

Nothing of this is process-wide: a plain ``torch.load`` is as strict as torch makes it.
"""
from . import unpickler
from .limits import TooLarge, available_memory
from .scan import scan
from .values import ForbiddenName, UnusableTensor

__all__ = ['ForbiddenName', 'TooLarge', 'UnusableTensor', 'available_memory', 'scan', 'unpickler']
