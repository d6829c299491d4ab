"""Inference-time forms of trained models."""
from .fuse import fuse, switch_to_deploy

__all__ = ['fuse', 'switch_to_deploy']
