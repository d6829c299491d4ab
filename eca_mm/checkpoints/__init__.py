"""What mmengine lacks when it reads and writes checkpoints: whole files and matching weights."""
from .keys import KeyReport
from .saving import AtomicLocalBackend, SafeCheckpointHook

__all__ = ['AtomicLocalBackend', 'KeyReport', 'SafeCheckpointHook']
