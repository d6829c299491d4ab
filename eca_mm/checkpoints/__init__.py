"""Checkpoints: reading, comparing, publishing, and converters of other projects' files."""
from .keys import KeyReport

__all__ = ['KeyReport']
