"""Drawing in every process of a distributed run, and in any script."""
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
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


def prefer_fonts(fonts: list[str]) -> None:
    """Have matplotlib, with which mmengine draws, look for characters in these fonts in turn.

    Args:
        fonts (list[str]): Names of installed fonts, the first choice first.
    """
    matplotlib.rcParams['font.sans-serif'] = fonts
