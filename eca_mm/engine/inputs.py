"""Which files a config reads: no tool may write over them."""
import os
from collections.abc import Iterator

from mmengine.config import Config

# What a run writes, and names that are not paths.
_NOT_READ = {'type', 'work_dir', 'out_file_path', 'outfile_prefix', 'out_dir', 'test_out_dir',
             'save_dir', '_scope_'}


def input_files(config: Config) -> list[str]:
    """List the files and folders that a config names and that exist.

    Args:
        config (Config): A config with its ``filename``, if it came from a file.

    Returns:
        list[str]: The config and its bases, annotations, folders of images, checkpoints; every
        relative path as it is and below the ``data_root`` that it belongs to.
    """
    found = [*with_bases(config.filename)] if config.filename else []
    for path in _strings(config.to_dict(), ('', )):
        if path and len(path) < 4096 and '\0' not in path and os.path.exists(path):
            found.append(path)
    return list(dict.fromkeys(found))


def with_bases(path: str) -> Iterator[str]:
    """List a config file and those that it inherits from.

    Args:
        path (str): The file.

    Yields:
        str: Its path and theirs.
    """
    yield path
    try:
        bases = Config._get_base_files(path)
    except Exception:
        return
    for base in bases:
        yield from with_bases(Config._get_cfg_path(base, path)[0])


def _strings(node: object, roots: tuple[str, ...]) -> Iterator[str]:
    if isinstance(node, str):
        yield from (os.path.expanduser(os.path.join(root, node)) for root in roots)
    elif isinstance(node, dict):
        root = node.get('data_root')
        if isinstance(root, str):
            roots = (*roots, root)
        for key, value in node.items():
            if key not in _NOT_READ:
                yield from _strings(value, roots)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _strings(value, roots)
