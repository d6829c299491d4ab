"""Drawing in every process of a distributed run."""
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.dist import utils


@contextmanager
def drawing_in_every_process() -> Iterator[None]:
    """Let the visualizers of mmengine, mmdet and mmpretrain draw in this process for a while.

    All their methods are ``master_only``: in the other processes of a distributed test they do
    nothing, so that the pictures of these processes' images would be lost.
    """
    original = utils.is_main_process
    utils.is_main_process = lambda group=None: True
    try:
        yield
    finally:
        utils.is_main_process = original
