"""Variables of a config that were meant to change a setting, and change nothing."""
import ast
import inspect
import os
from collections.abc import Iterator
from logging import Logger
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

# What a base computed its settings from: a child that sets the variable comes too late.
_NUMBERS = ('max_epochs', 'max_iters', 'batch_size', 'num_workers', 'num_classes', 'lr',
            'weight_decay', 'val_interval', 'frozen_stages')
_CLASSES = ('metainfo', 'classes', 'class_name', 'class_names')
# Names that anybody may give to a variable of the command line.
_FREE = ('data_root', 'ann_file', *_CLASSES)
_PIPELINES = ('train_pipeline', 'val_pipeline', 'test_pipeline')


def unused_variables(config: Config) -> Iterator[tuple[str, str, str]]:
    """Find variables of a config file that are named like a setting whose value no setting has.

    Variables of a base are replaced by their values when it is read, so ``max_epochs = 50`` or
    ``train_pipeline = [...]`` alone in a child changes nothing. A variable that is inherited may
    well be out of date.

    Args:
        config (Config): A resolved config.

    Yields:
        tuple[str, str, str]: The variable, the dotted key of the setting of that name (or of what
        ought to use it), and the value that it has; empty where it has none.
    """
    settings = {key: value for key, value in config.items()
                if key in inspect.signature(Runner.__init__).parameters}
    nodes = list(_nodes(settings))
    for name, value in config.items():
        if name in settings or not _is_telling(name, value):
            continue
        plain = _plain(value)
        same = [(where, node) for where, key, node in nodes if key == name]
        if any(node == plain for _, node in same):
            continue
        if isinstance(value, str) and any(
                isinstance(node, str) and value in node for _, _, node in nodes):
            continue
        if name not in _NUMBERS and any(node == plain for _, _, node in nodes):
            continue
        bases = list(ancestors(config.filename))
        # A config that was written out has the variables as they were left.
        if not bases or any(_plain(base.get(name)) == plain for base in bases):
            continue
        if _reads(config.filename, name):
            continue
        if name in _FREE and _plain(_own(config.filename).get(name)) != plain:
            continue
        if same:
            # The training's own comes first.
            where, node = min(same, key=lambda pair: not pair[0].startswith('train'))
            yield name, where, repr(node) if isinstance(node, int | float | str) else ''
        elif name in _CLASSES:
            yield name, 'train_dataloader.dataset.metainfo', ''
        elif name == 'cudnn_benchmark':
            yield name, f'env_cfg.{name}', ''
        elif name in _PIPELINES:
            yield name, f'{name.partition("_")[0]}_dataloader.dataset.pipeline', ''


def describe_unused(name: str, where: str, value: str) -> str:
    """Put what :func:`unused_variables` yields into a sentence.

    Args:
        name (str): The variable.
        where (str): Dotted key of the setting that it was meant for.
        value (str): The value of that setting; empty where it has none.

    Returns:
        str: The sentence, without a full stop.
    """
    return (f'{name!r} at the top of the config changes nothing, as no setting has its value'
            + (f' ({where} is {value})' if value else '') + f': set {where}')


def warn_of_unused(config: Config, logger: Logger) -> None:
    """Log a warning for each variable that :func:`unused_variables` finds.

    Args:
        config (Config): A resolved config.
        logger (logging.Logger): The run's logger.
    """
    for name, where, value in unused_variables(config):
        logger.warning(f'{describe_unused(name, where, value)}.')


def _is_telling(name: str, value: Any) -> bool:
    """Whether a variable has the name and kind of a setting."""
    if isinstance(value, bool):
        # mmdet's own SSD has it there; it costs speed alone.
        return value and name == 'cudnn_benchmark'
    if isinstance(value, int | float):
        return name in _NUMBERS
    if isinstance(value, str):
        return name in _FREE
    return bool(value) and name in (*_CLASSES, *_PIPELINES, 'milestones', 'vis_backends')


def _nodes(node: Any, where: str = '', name: str = '') -> Iterator[tuple[str, str, Any]]:
    """Dotted key, last name and plain value of everything in a part of a config."""
    if where:
        yield where, name, _plain(node)
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _nodes(value, f'{where}.{key}' if where else str(key), str(key))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _nodes(value, f'{where}.{index}', name)


def _plain(node: Any) -> Any:
    """A value without the scopes that mmengine notes, tuples as lists."""
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items() if key != '_scope_'}
    return node


def _reads(path: str, name: str) -> bool:
    """Whether a config file computes something from a variable."""
    try:
        with open(path, encoding='utf-8') as file:
            nodes = ast.walk(ast.parse(file.read()))
    except (OSError, SyntaxError, ValueError):
        return False
    return any(isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
               for node in nodes)


def _own(path: str) -> dict:
    """What a config file and its bases say, without overrides."""
    try:
        return Config.fromfile(path)
    except Exception:
        return {}


def ancestors(path: str | None) -> Iterator[Config]:
    """Read the configs that a config file inherits from.

    Args:
        path (str, optional): The file.

    Yields:
        Config: Each of them, resolved; none where one cannot be read.
    """
    if not path or not os.path.isfile(path):
        return
    try:
        bases = Config._get_base_files(path)
        paths = [Config._get_cfg_path(base, path)[0] for base in bases]
        settings = [Config.fromfile(base) for base in paths]
    except Exception:
        return
    for base, found in zip(paths, settings, strict=True):
        yield found
        yield from ancestors(base)
