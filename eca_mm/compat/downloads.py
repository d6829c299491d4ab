"""Checkpoints from web addresses, kept in torch.hub's cache."""
from __future__ import annotations

import hashlib
import http.client
import os
import re
import shutil
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, BinaryIO

import torch
from rich.progress import DownloadColumn, Progress

from eca_mm.utils.errors import UserError

from .safe_load import check_hash, load_checkpoint_file, names_hash

# Seconds without an answer or a byte.
TIMEOUT = 30
# Bytes of a download, bytes of the disk that it leaves free, and bytes a second that it has.
MOST_BYTES, SPARED_BYTES, SLOWEST = 2**34, 2**28, 1000
_SCHEMES = ('http', 'https')


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows redirects within http and https, but never from https to http."""

    def redirect_request(self, request: Any, file: Any, code: int, message: str, headers: Any,
                         new: str) -> Any:
        old, new_scheme = (urllib.parse.urlsplit(url).scheme.lower()
                           for url in (request.full_url, new))
        if new_scheme not in _SCHEMES or (old, new_scheme) == ('https', 'http'):
            raise _redirected(request.full_url, new)
        return super().redirect_request(request, file, code, message, headers, new)


def load_url(url: str, model_dir: str | None = None, map_location: Any = None,
             progress: bool = True) -> dict:
    """Download a checkpoint unless the cache has it, and load it without running code from it.

    The cache is keyed by the whole address. Files whose name holds the hash of their content
    (``name-1a2b3c4d.pth``) lie where torchvision and timm look for them too.

    Args:
        url (str): Web address (http or https) whose last part is the file's name.
        model_dir (str, optional): Where to keep the file instead of torch.hub's cache.
        map_location (Any): Where tensors go, as in :func:`torch.load`; the CPU if not given.
        progress (bool): Whether to show the download's progress.

    Returns:
        dict: What the file holds.

    Raises:
        UserError: If the address cannot be read, or as :func:`load_checkpoint_file`.
    """
    path = cached_path(url, model_dir or os.path.join(torch.hub.get_dir(), 'checkpoints'))
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _download(url, path, progress)
    return load_checkpoint_file(path, map_location or 'cpu')


def cached_path(url: str, folder: str) -> str:
    """Where the file of a web address is kept.

    Args:
        url (str): The address.
        folder (str): The cache.

    Returns:
        str: The path; different for different addresses unless the name holds a hash.

    Raises:
        UserError: If it is not a web address.
    """
    try:
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise UserError(f'{url} is not a web address ({error}): give a file, or an address that '
                        'begins with http:// or https://.') from error
    if parts.scheme.lower() not in _SCHEMES or not parts.hostname:
        raise UserError(f'{url} is not an address that weights can be loaded from: give a file, or '
                        'an address that begins with http:// or https://.')
    if parts.username is not None:
        raise UserError(f'The address of {parts.hostname} holds a user name, which would end up in '
                        'logs: download the file and give its path.')
    name = re.sub(r'[^\w.+-]', '_', os.path.basename(parts.path))[-100:].lstrip('.') or 'checkpoint'
    if names_hash(name):
        return os.path.join(folder, name)
    return os.path.join(folder, hashlib.sha256(url.encode()).hexdigest()[:16], name)


def _download(url: str, path: str, progress: bool) -> None:
    opener = urllib.request.build_opener(_SameScheme)
    request = urllib.request.Request(url, headers={'User-Agent': 'eca_mm'})
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix='.download-')
    try:
        try:
            with os.fdopen(handle, 'w+b') as file:
                with opener.open(request, timeout=TIMEOUT) as answer:
                    _copy(answer, file, os.path.dirname(path), progress)
                file.seek(0)
                check_hash(file, path, url)
        except urllib.error.HTTPError as error:
            if 300 <= error.code < 400:
                raise _redirected(url, error.headers.get('Location')) from error
            raise UserError(f'{url} cannot be downloaded: the server answers {error.code} '
                            f'{error.reason}; check the address.') from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, OSError) and error.filename is not None:
                raise
            reason = getattr(error, 'reason', None) or error
            raise UserError(f'{url} cannot be downloaded ({reason}): check the address and the '
                            'connection, or download the file and give its path.') from error
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def _redirected(url: str, target: str | None) -> UserError:
    shown = (target or 'nowhere')[:200]
    return UserError(f'{url} redirects to {shown!r}, which is not followed: '
                     'give the address of the file itself.')


def _copy(answer: http.client.HTTPResponse, file: BinaryIO, folder: str, progress: bool) -> None:
    length = answer.headers.get('Content-Length')
    total = int(length) if length else None
    # A server may send without end.
    limit = min(MOST_BYTES, shutil.disk_usage(folder).free - SPARED_BYTES)
    if total is not None and total > limit:
        raise ValueError(f'it has {total >> 20} MB, more than the {max(0, limit) >> 20} MB that '
                         'may be stored here')
    start, size = time.monotonic(), 0
    with Progress(*Progress.get_default_columns()[:2], DownloadColumn(),
                  disable=not (progress and total)) as bar:
        task = bar.add_task('downloading', total=total)
        # What has arrived, not as much as is asked for: that may take forever.
        while piece := answer.read1(2**20):
            size += len(piece)
            if size > limit:
                raise ValueError(f'it does not end after {size >> 20} MB')
            seconds = time.monotonic() - start
            if seconds > TIMEOUT and size < SLOWEST * seconds:
                raise ValueError(f'it sends less than {SLOWEST} bytes a second')
            file.write(piece)
            bar.advance(task, len(piece))
    if total is not None and size != total:
        raise ValueError(f'it ended after {size} of {total} bytes')
