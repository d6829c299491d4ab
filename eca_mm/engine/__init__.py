"""Training and testing: a Runner with checks, and what its tools need."""
from .hooks import StopOnInvalidLoss
from .runner import CheckedRunner

__all__ = ['CheckedRunner', 'StopOnInvalidLoss']
