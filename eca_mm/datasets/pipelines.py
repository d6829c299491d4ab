"""The path of an image through a config: the data sets of a loader and their pipelines."""
from collections.abc import Callable, Iterator
from typing import Any


def walk(node: Any, where: str = '') -> Iterator[tuple[str, dict]]:
    """Go through a part of a config.

    Args:
        node (Any): A value of the config.
        where (str): Its dotted key.

    Yields:
        tuple[str, dict]: Every dict in it, outermost first, with its dotted key.
    """
    if isinstance(node, dict):
        yield where, node
        for key, value in node.items():
            yield from walk(value, f'{where}.{key}' if where else str(key))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from walk(value, f'{where}.{index}' if where else str(index))


def rebuild(node: Any, change: Callable[[dict], dict]) -> Any:
    """Copy a part of a config with every dict in it changed, innermost first.

    Args:
        node (Any): A value of the config.
        change (Callable[[dict], dict]): Gets a copy of each dict and returns what replaces it.

    Returns:
        Any: The changed copy. Values other than plain containers are the same objects as before.
    """
    if isinstance(node, dict):
        return change({key: rebuild(value, change) for key, value in node.items()})
    if type(node) in (list, tuple):
        return type(node)(rebuild(value, change) for value in node)
    return node


def pipelines(node: Any, where: str = '') -> Iterator[tuple[str, list]]:
    """Find the pipelines of a data loader, those of data sets inside of wrappers included.

    Args:
        node (Any): A data loader's or data set's config.
        where (str): Its dotted key.

    Yields:
        tuple[str, list]: A list of transforms with its dotted key. The transforms of a data set
        that mixes several images come after those of the data set inside.
    """
    found = [(f'{place}.pipeline' if place else 'pipeline', part['pipeline'])
             for place, part in walk(node, where)
             if isinstance(part.get('pipeline'), list | tuple)]
    yield from reversed(found)


def leaf_datasets(cfg: dict, where: str = '') -> Iterator[tuple[str, dict]]:
    """Unwrap the data sets in RepeatDataset, ConcatDataset and other wrappers.

    Args:
        cfg (dict): Config of a data set.
        where (str): Its dotted key.

    Yields:
        tuple[str, dict]: Each data set that reads annotations, with its dotted key.
    """
    if isinstance(cfg.get('dataset'), dict):
        yield from leaf_datasets(cfg['dataset'], f'{where}.dataset')
    elif isinstance(cfg.get('datasets'), list | tuple):
        for index, part in enumerate(cfg['datasets']):
            yield from leaf_datasets(part, f'{where}.datasets.{index}')
    else:
        yield where, cfg
