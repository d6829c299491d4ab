"""YAML and JSON configs: values of registered types, no part of which can run code."""
from __future__ import annotations

from pickle import UnpicklingError
from typing import Any

import yaml
from mmengine.config import Config
from mmengine.fileio import handlers
from mmengine.utils import import_modules_from_strings

from eca_mm.utils.errors import UserError

from .data_configs import PACKAGES, check_data
from .safe_pickle.limits import MAX_DEPTH, check_extent

SUFFIXES = ('.yml', '.yaml', '.json')
_MAX_BASES = 32


class SafeYamlLoader(getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):  # type: ignore[misc]
    """Builds plain values only, and tuples, which mmengine writes into YAML."""

    def construct_python_tuple(self, node: yaml.Node) -> tuple:
        """Build a tuple."""
        return tuple(self.construct_sequence(node, deep=True))


SafeYamlLoader.add_constructor('tag:yaml.org,2002:python/tuple',
                               SafeYamlLoader.construct_python_tuple)


class SafeYamlHandler(handlers.YamlHandler):
    """mmengine's reader of YAML files, without ``!!python`` tags that call functions."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """Read values from an open file."""
        text, depth = file.read(), 0
        # The composer calls itself for every level.
        for event in yaml.parse(text, Loader=SafeYamlLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise yaml.YAMLError(f'it is nested more than {MAX_DEPTH} deep')
        values = super().load_from_fileobj(text, **{'Loader': SafeYamlLoader, **kwargs})
        try:
            check_extent(values)
        except UnpicklingError as error:
            raise yaml.YAMLError(f'it holds {error}') from error
        return values


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
    for base in Config._get_base_files(path):
        if not isinstance(base, str):
            raise UserError(f'Config file {path} has a _base_ that is not a path; correct it.')
        known = base.partition('::')[0] in PACKAGES if '::' in base else base.endswith(SUFFIXES)
        if not known:
            raise UserError(f'Config file {path} was refused because it inherits from {base[:200]}'
                            ', which is a program: if you trust it, write this one as .py too.')
        if '::' not in base:
            _check_bases(Config._get_cfg_path(base, path)[0], [*above, path])
