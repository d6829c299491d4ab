"""Training and testing: a Runner with checks, its loops and hooks, and reading of configs."""
from .hooks import SafeCheckpointHook, StopOnInvalidLossHook
from .runner import CheckedRunner

__all__ = ['CheckedRunner', 'SafeCheckpointHook', 'StopOnInvalidLossHook']
