"""Loading checkpoints without running code from them, on every supported torch."""
import io
import os
import pickle
import re
import tarfile
import urllib.parse
import zipfile

import torch
from mmengine.runner import checkpoint as mmengine_checkpoint
from safetensors.torch import load_file

from eca_mm.utils.errors import UserError

from .pickle_scan import MMENGINE_GLOBALS, ForbiddenName, scan, scanning_pickle

# Older releases cannot take a stand-in for a name; their files are scanned instead.
TORCH_RESTRICTS = torch.__version__ >= (2, 6)


def install():
    """Lets torch load what mmengine writes, and mmengine load nothing but that.

    Covers ``torch.load`` where it restricts itself, and everything that mmengine loads from local
    files and web addresses: ``Runner.load_checkpoint``, resuming, ``init_cfg=Pretrained``.
    """
    if TORCH_RESTRICTS:
        torch.serialization.add_safe_globals([(v, k) for k, v in MMENGINE_GLOBALS.items()])
    mmengine_checkpoint.CheckpointLoader.register_scheme('', load_from_local, force=True)
    # All of mmengine's schemes that end in a web address fetch it by this name.
    mmengine_checkpoint.load_url = load_url


def load_checkpoint_file(path, map_location='cpu'):
    """Loads a checkpoint, running no code from it.

    Args:
        path (str | os.PathLike): File written by ``torch.save``, or a ``.safetensors`` file (which
            is loaded to the CPU).
        map_location: Where tensors go, as in :func:`torch.load`.

    Returns:
        dict: What the file holds.

    Raises:
        UserError: If the file is missing, unreadable, truncated, not a checkpoint, or names
            anything beyond tensors, plain containers and what mmengine writes.
    """
    path = os.path.expanduser(os.fspath(path))
    _check_file(path)
    load = _load_safetensors if path.endswith('.safetensors') else _load
    try:
        loaded = load(path, map_location)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # torch raises about any type on a broken file
        if 'deserialize object on' in str(error):  # a device that this machine lacks: all said
            raise
        raise UserError(_sentence(path, error)) from error
    if not isinstance(loaded, dict):
        raise UserError(f'{path} holds a {type(loaded).__name__}, not the dict of a checkpoint: '
                        'give a file with a state_dict.')
    return loaded


def load_from_local(filename, map_location=None):
    """Is mmengine's loader of local files; without ``map_location`` tensors go to the CPU."""
    return load_checkpoint_file(filename, map_location or 'cpu')


def load_url(url, model_dir=None, map_location=None, progress=True):
    """Downloads a checkpoint unless torch.hub's cache has it, and loads it.

    Args:
        url (str): Web address whose last part is the file's name.
        model_dir (str, optional): Where to keep the file instead of torch.hub's cache.
        map_location: Where tensors go, as in :func:`torch.load`; the CPU if not given.
        progress (bool): Whether to show the download's progress.

    Returns:
        dict: What the file holds.

    Raises:
        UserError: As :func:`load_checkpoint_file`.
    """
    folder = model_dir or os.path.join(torch.hub.get_dir(), 'checkpoints')
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, os.path.basename(urllib.parse.urlparse(url).path))
    if not os.path.exists(path):
        torch.hub.download_url_to_file(url, path, progress=progress)
    return load_checkpoint_file(path, map_location or 'cpu')


def _load(path, map_location):
    if TORCH_RESTRICTS:
        return torch.load(path, map_location=map_location, weights_only=True)
    return load_scanned(path, map_location)


def load_scanned(path, map_location='cpu'):
    """Loads what torch restricts only from 2.6 on: every pickle in the file is scanned first.

    Args:
        path (str): File written by ``torch.save``.
        map_location: Where tensors go, as in :func:`torch.load`.

    Returns:
        What the file holds.

    Raises:
        pickle.UnpicklingError: If the file is an archive of a kind that torch loads by other
            means, or names what is not on the list.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith('constants.pkl') for name in archive.namelist()):
                raise pickle.UnpicklingError('it is a TorchScript archive')
    elif tarfile.is_tarfile(path):
        raise pickle.UnpicklingError('it is a tar file as torch wrote before version 0.1.10')
    return torch.load(path, map_location=map_location, pickle_module=scanning_pickle,
                      weights_only=False)


def _load_safetensors(path, map_location):
    return load_file(path)


def _check_file(path):
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
    if not os.access(path, os.R_OK):
        raise UserError(f'The checkpoint {path} cannot be read: check its permissions.')
    if os.path.getsize(path) == 0:
        raise UserError(f'The checkpoint {path} is empty: copy, download or write it again.')


def _sentence(path, error):
    found = error if isinstance(error, ForbiddenName) else _find_forbidden(path)
    if found:
        return (f'{path} was refused because its pickle asks for {found}, which a checkpoint has '
                'no need of and which can run code: use a file from a source that you trust, with '
                'its weights saved as a plain state_dict.')
    # The first sentence only: torch goes on to recommend loading without restriction.
    reason = re.split(r'\.\s|\n', str(error).strip() or type(error).__name__)[0]
    return (f'{path} is truncated or is not a checkpoint ({reason}): '
            'copy, download or write it again.')


def _find_forbidden(path):
    """Returns the first thing not on the list that the file's pickles ask for, None if nothing."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if name.endswith('.pkl'):
                        scan(io.BytesIO(archive.read(name)))
        else:
            with open(path, 'rb') as file:
                # Magic number, protocol, system and object of the format before torch 1.6.
                for _ in range(4):
                    scan(file)
    except ForbiddenName as found:
        return found
    except Exception:  # noqa: BLE001  no readable pickles either: the caller has an error already
        return None
    return None
