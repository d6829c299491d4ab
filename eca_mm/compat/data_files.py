"""YAML and JSON configs: values of registered types, no part of which can run code."""
from __future__ import annotations

import os
from pickle import UnpicklingError
from typing import Any

import yaml
from mmengine.config import Config
from mmengine.fileio import handlers
from mmengine.utils import import_modules_from_strings

from eca_mm.utils.errors import UserError
from eca_mm.utils.regular_files import check_regular

from .data_configs import PACKAGES, check_data
from .safe_pickle.limits import MAX_DEPTH, check_extent

SUFFIXES = ('.yml', '.yaml', '.json')
_MAX_BASES, _MAX_BYTES = 32, 2**24
# Values that a file stands for when what it shares is written out, and characters of a number:
# sums in base 60 take quadratic time.
_MAX_VALUES, _LONGEST_NUMBER = 10**6, 256
# Larger keys could all be given the same hash.
_LONGEST_KEY = 10
_NUMBERS = ('tag:yaml.org,2002:int', 'tag:yaml.org,2002:float')


class SafeYamlLoader(getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):  # type: ignore[misc]
    """Builds plain values only, and tuples, which mmengine writes into YAML."""

    def construct_python_tuple(self, node: yaml.Node) -> tuple:
        """Build a tuple."""
        return tuple(self.construct_sequence(node, deep=True))

    def construct_scalar(self, node: yaml.Node) -> str:
        """Read a scalar; numbers of bounded length only."""
        if node.tag in _NUMBERS and len(node.value) > _LONGEST_NUMBER:
            raise yaml.YAMLError('it has a number of more than 256 characters')
        return super().construct_scalar(node)

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict:
        """Build a dict whose keys are not chosen for their hash."""
        if isinstance(node, yaml.MappingNode):
            self.flatten_mapping(node)
            if any(name.tag != 'tag:yaml.org,2002:str' and len(str(name.value)) > _LONGEST_KEY
                   for name, _ in node.value):
                raise yaml.YAMLError('it has a key that is neither a text nor a short number')
        return super().construct_mapping(node, deep)


SafeYamlLoader.add_constructor('tag:yaml.org,2002:python/tuple',
                               SafeYamlLoader.construct_python_tuple)


class SafeYamlHandler(handlers.YamlHandler):
    """mmengine's reader of YAML files, without ``!!python`` tags that call functions."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """Read values from an open file."""
        text = file.read()
        _check_nodes(text)
        try:
            values = super().load_from_fileobj(text, **{'Loader': SafeYamlLoader, **kwargs})
            check_extent(values)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # A tag that does not fit its value.
            raise yaml.YAMLError(f'it has a value that does not fit its tag ({error})') from error
        except UnpicklingError as error:
            raise yaml.YAMLError(f'it holds {error}') from error
        return values


def _check_nodes(text: str) -> None:
    """Bound the depth and the number of nodes before anything is built of them."""
    # Nodes of each collection around the current one, with its anchor, and of finished anchors.
    around: list[list] = [[None, 0]]
    finished: dict[str | None, int] = {}
    for event in yaml.parse(text, Loader=SafeYamlLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            # The composer calls itself for every level.
            if len(around) > MAX_DEPTH:
                raise yaml.YAMLError(f'it is nested more than {MAX_DEPTH} deep')
            around.append([event.anchor, 1])
            continue
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in around):
                raise yaml.YAMLError('it holds a container that contains itself')
            around[-1][1] += finished.get(event.anchor, 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, count = around.pop()
            around[-1][1] += count
            finished[anchor] = count
        elif isinstance(event, yaml.ScalarEvent):
            around[-1][1] += 1
            finished[event.anchor] = 1
        if around[-1][1] > _MAX_VALUES:
            raise yaml.YAMLError(f'it has more than {_MAX_VALUES} values when what it shares is '
                                 'written out')


def load_yaml_safely() -> None:
    """Have mmengine read YAML files by a loader that builds plain values only."""
    for name in ('yaml', 'yml'):
        handlers.file_handlers[name] = SafeYamlHandler()


def load_data_file(path: str) -> Config:
    """Read a YAML or JSON config without running anything.

    Args:
        path (str): The file; may inherit from others of its kind and from the configs of installed
            packages (``mmdet::...``).

    Returns:
        Config: The config.

    Raises:
        UserError: If it or one of its bases reaches Python objects: by tags, by types that no
            registry has, by imports of other packages, or by a base that is a program.
    """
    _check_bases(path, [])
    config = Config.fromfile(path, import_custom_modules=False)
    check_data(config.to_dict(), f'Config file {path}')
    if config.get('custom_imports'):
        import_modules_from_strings(**config.custom_imports)
    return config


def _check_bases(path: str, above: list[str]) -> None:
    if path in above or len(above) > _MAX_BASES:
        raise UserError(f'Config file {path} inherits from itself; correct its _base_.')
    check_regular(path)
    if os.path.isfile(path) and os.path.getsize(path) > _MAX_BYTES:
        raise UserError(f'Config file {path} has {os.path.getsize(path) >> 20} MB, too large for a '
                        'config; is it another file?')
    for base in Config._get_base_files(path):
        if not isinstance(base, str):
            raise UserError(f'Config file {path} has a _base_ that is not a path; correct it.')
        known = base.partition('::')[0] in PACKAGES if '::' in base else base.endswith(SUFFIXES)
        if not known:
            raise UserError(f'Config file {path} was refused because it inherits from {base[:200]}'
                            ', which is a program: if you trust it, write this one as .py too.')
        if '::' not in base:
            _check_bases(Config._get_cfg_path(base, path)[0], [*above, path])
