"""Loading checkpoints without running code from them, on every supported torch."""
from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import tarfile
from typing import Any, BinaryIO

import torch
from safetensors.torch import load as load_safetensors_bytes
from safetensors.torch import load_file

from eca_mm.utils.errors import UserError
from eca_mm.utils.terminal import printable

from .archive import is_archive, open_archive
from .safe_pickle import ForbiddenName, TooLarge, UnusableTensor, scan, unpickler

_HASH = re.compile(r'-([0-9a-f]{8})\.(pth|pt|safetensors)$')
# Where files keep weights, and what of them is always a fraction.
_STATE_DICTS = ('state_dict', 'ema_state_dict', 'state_dict_ema', 'model', 'model_state',
                'model_state_dict')
_FRACTIONS = ('weight', 'bias', 'running_mean', 'running_var')
# Eight digits that are a day, 20260131, are not a hash.
_DAY = re.compile(r'(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])')


def load_checkpoint_file(path: str | os.PathLike, map_location: Any = 'cpu') -> dict:
    """Load a checkpoint, running no code from it.

    Args:
        path (str | os.PathLike): File written by ``torch.save``, or a ``.safetensors`` file (which
            is loaded to the CPU). Where the name ends in a hash, as those of
            ``tools/model_converters/publish.py`` and torchvision do (``name-1a2b3c4d.pth``: eight
            digits of the content's SHA-256), the content is compared with it.
        map_location (Any): Where tensors go, as in :func:`torch.load`.

    Returns:
        dict: What the file holds.

    Raises:
        UserError: If the file is missing, unreadable, truncated, damaged, not a checkpoint, would
            grow without bounds, or names anything beyond tensors, plain containers and what
            mmengine writes.
    """
    path = os.path.expanduser(os.fspath(path))
    _check_file(path)
    with open(path, 'rb') as file:
        check_hash(file, path)
        return load_stream(file, path, map_location)


def load_stream(file: BinaryIO, name: str, map_location: Any = 'cpu') -> dict:
    """Load a checkpoint from an open file, as :func:`load_checkpoint_file` does.

    Args:
        file (BinaryIO): The checkpoint; must be able to seek.
        name (str): What to call it in messages; its ending tells the format.
        map_location (Any): Where tensors go.

    Returns:
        dict: What it holds.

    Raises:
        UserError: As :func:`load_checkpoint_file`.
    """
    load = _load_safetensors if name.endswith('.safetensors') else _load
    try:
        loaded = load(file, map_location)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # torch raises about any type on a broken file
        if 'deserialize object on' in str(error):  # a device that this machine lacks: all said
            raise
        raise UserError(_sentence(name, error)) from error
    if not isinstance(loaded, dict):
        raise UserError(f'{name} holds a {type(loaded).__name__}, not the dict of a checkpoint: '
                        'give a file with a state_dict.')
    _check_parts(loaded, name)
    _check_numbers(loaded, name)
    return loaded


def _load(file: BinaryIO, map_location: Any) -> Any:
    # torch's own functions around torch.load's choice of unpickler: that choice is between all of
    # pickle and a list that is shared by the whole process.
    if is_archive(file):
        return _load_archive(file, map_location)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if _is_tar(file):
        raise ValueError('it is a tar file as torch wrote before version 0.1.10')

    storages: dict[str, int] = {}

    def check(key: str, nbytes: int) -> None:
        storages[key] = max(nbytes, storages.get(key, 0))
        if sum(storages.values()) > size:
            raise ValueError('its storages would be larger than the file')

    file.seek(0)
    # Magic number, version and system; the object; the names of its storages.
    *_, keys = [scan(file, check, size) for _ in range(5)]
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        # Without its data, a storage would be whatever the memory held before.
        raise ValueError('its storages are not those that its tensors refer to')
    file.seek(0)
    return torch.serialization._legacy_load(file, map_location, unpickler, encoding='utf-8')


def _check_parts(loaded: dict, path: str) -> None:
    """Refuse entries of other types than those that every tool expects."""
    for entry in (*_STATE_DICTS, 'meta', 'message_hub'):
        part = loaded.get(entry)
        if entry in ('state_dict', 'meta', 'message_hub') and not isinstance(
                part, (dict, type(None))):
            raise UserError(f'{path} is not a checkpoint: its {entry!r} is of the '
                            f'type {type(part).__name__}, not a dict; give a file with a '
                            'state_dict.')
        for name in part if isinstance(part, dict) else ():
            if not isinstance(name, str):
                raise UserError(f'{path} is not a checkpoint: its {entry!r} has names '
                                f'of the type {type(name).__name__}; give a file with a '
                                'state_dict.')
    for name, value in (loaded.get('state_dict') or {}).items():
        # Modules may keep anything as their extra state.
        if not isinstance(value, torch.Tensor) and not name.endswith('_extra_state'):
            raise UserError(f'{path} is not a checkpoint: it holds a {type(value).__name__} under '
                            f'{printable(name)!r} where weights should be; give a file with a '
                            'state_dict of tensors.')
    described = (loaded.get('meta') or {}).get('dataset_meta')
    classes = next((value for name, value in described.items() if str(name).lower() == 'classes'),
                   None) if isinstance(described, dict) else None
    if not isinstance(described, (dict, type(None))) or not isinstance(
            classes, (list, tuple, str, type(None))):
        raise UserError(f'{path} is not a checkpoint: its dataset_meta does not list classes; save '
                        'it again with their names.')


def _check_numbers(loaded: dict, path: str) -> None:
    """Refuse integers and other types where every tool needs floating point."""
    for weights in (loaded, *(loaded.get(entry) for entry in _STATE_DICTS)):
        for name, value in weights.items() if isinstance(weights, dict) else ():
            if (isinstance(value, torch.Tensor) and not value.is_floating_point()
                    and (value.is_complex() or str(name).rpartition('.')[2] in _FRACTIONS)):
                raise UserError(f'{path} was refused because its {name} is of the type '
                                f'{str(value.dtype).removeprefix("torch.")}: save its weights '
                                'again as floating-point numbers.')


def _load_archive(file: BinaryIO, map_location: Any) -> Any:
    reader, sizes = open_archive(file)
    if 'constants.pkl' in sizes:
        raise ValueError('it is a TorchScript archive, which is a program')
    if 'data.pkl' not in sizes:
        raise ValueError('it has no record data.pkl')

    def check(key: str, nbytes: int) -> None:
        if sizes.get(f'data/{key}') != nbytes:
            raise ValueError(f'its storage {key!r} has another size than its data')

    scan(io.BytesIO(reader.get_record('data.pkl')), check, file.seek(0, os.SEEK_END))
    return torch.serialization._load(reader, map_location, unpickler, encoding='utf-8')


def _load_safetensors(file: BinaryIO, map_location: Any) -> dict:
    name = getattr(file, 'name', None)
    return load_file(name) if isinstance(name, str) else load_safetensors_bytes(file.read())


def _is_tar(file: BinaryIO) -> bool:
    try:
        with tarfile.open(fileobj=file, mode='r:'):
            return True
    # A header may claim any size for the next one.
    except (tarfile.TarError, MemoryError, OverflowError, ValueError, OSError):
        return False


def _check_file(path: str) -> None:
    if re.match(r'[A-Za-z][A-Za-z0-9+.-]*://', path) and not os.path.exists(path):
        scheme = path.partition('://')[0]
        raise UserError(f'{path} cannot be loaded: {scheme}:// is not a kind of address that is '
                        'read here; download the file and give its path.')
    if os.path.isdir(path):
        raise UserError(f'{path} is a directory, not a checkpoint: give a file in it.')
    if not os.path.exists(path):
        folder, name = os.path.split(path)
        if os.path.basename(folder) == 'checkpoints' and name.endswith('.pth'):
            raise UserError(
                f'The weights {path} do not exist (working directory {os.getcwd()}): train the '
                f'configuration {name[:-4]}_* with tools/train.py and copy its last checkpoint '
                f'to {path}, or convert existing weights to that file.')
        raise UserError(f'The checkpoint {path} does not exist (working directory {os.getcwd()}): '
                        'check the path.')
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise UserError(f'{path} is a pipe or a device, not a checkpoint: give a regular file.')
    if not os.access(path, os.R_OK):
        raise UserError(f'The checkpoint {path} cannot be read: check its permissions.')
    if os.path.getsize(path) == 0:
        raise UserError(f'The checkpoint {path} is empty: copy, download or write it again.')


def names_hash(name: str) -> str | None:
    """Digits of the SHA-256 that a file's name holds (``name-1a2b3c4d.pth``); None if it does not.

    Args:
        name (str): The name, with or without its folder.

    Returns:
        str | None: The eight digits.
    """
    named = _HASH.search(os.path.basename(name))
    return None if named is None or _DAY.fullmatch(named[1]) else named[1]


def check_hash(file: BinaryIO, name: str, source: str | None = None) -> None:
    """Compare a file's content with the hash that its name may hold.

    Args:
        file (BinaryIO): The content; read from where it stands, and set to its beginning.
        name (str): The name.
        source (str, optional): What to call it in the message. Defaults to its name.

    Raises:
        UserError: If the content has another hash.
    """
    named = names_hash(name)
    if named is None:
        return
    digest = hashlib.sha256()
    while piece := file.read(2**20):
        digest.update(piece)
    file.seek(0)
    if digest.hexdigest()[:8] != named:
        raise UserError(f'{source or name} is damaged or has been changed: its name says that its '
                        f'SHA-256 begins with {named}, but it begins with '
                        f'{digest.hexdigest()[:8]}; copy or download it again, or rename it if '
                        'these digits are not a hash.')


def _sentence(path: str, error: Exception) -> str:
    if isinstance(error, ForbiddenName):
        return (f'{path} was refused because its pickle asks for {error}, which a checkpoint has '
                'no need of and which can run code: use a file from a source that you trust, with '
                'its weights saved as a plain state_dict.')
    if isinstance(error, UnusableTensor):
        return (f'{path} was refused because it holds {error}: save its weights again as dense '
                'tensors of floating-point numbers on the CPU.')
    if isinstance(error, TooLarge):
        return (f'{path} was refused because it holds {error}: use a file from a source that you '
                'trust, with its weights saved as a plain state_dict.')
    # The first sentence only: the following ones are for developers of torch.
    reason = re.split(r'\.\s|\n', str(error).strip() or type(error).__name__)[0]
    return (f'{path} is truncated or is not a checkpoint ({reason}): '
            'copy, download or write it again.')
