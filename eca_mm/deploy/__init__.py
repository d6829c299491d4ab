"""Inference-time forms of trained models."""
from .fuse import fuse, switch_to_deploy
from .fuse_hook import FuseHook

__all__ = ['FuseHook', 'fuse', 'switch_to_deploy']
