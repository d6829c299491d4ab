"""Warnings of image decoders about damaged files that they still decode."""
import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterator

# libjpeg fills the rest with grey and warns on standard error only; so does libtiff.
_DAMAGE = re.compile(r'Corrupt JPEG data: .*|Premature end of JPEG file|.*TIFF_Error.*')
_LEFT_OVER = re.compile(r'Corrupt JPEG data: (\d+) extraneous bytes')
# Some encoders pad the end of an image by a few bytes.
_PADDING = 8
_ONE_AT_A_TIME = threading.Lock()


@contextlib.contextmanager
def decoder_messages() -> Iterator[list[str]]:
    """Catch a decoder's warnings on the process's standard error.

    Costs some microseconds: nothing is decoded twice. What others write meanwhile is passed on.

    Yields:
        list[str]: Filled at the end with the complaints that mean damage; empty on Windows, whose
        pipes would have a decoder wait.
    """
    found: list[str] = []
    if sys.platform == 'win32':
        yield found
        return
    with _ONE_AT_A_TIME:
        try:
            kept = os.dup(2)
        except OSError:  # standard error is closed
            yield found
            return
        reader, writer = os.pipe()
        try:
            # A decoder must not wait for a reader that comes after it.
            os.set_blocking(reader, False)
            os.set_blocking(writer, False)
            os.dup2(writer, 2)
            try:
                yield found
            finally:
                os.dup2(kept, 2)
                _sort(_drain(reader), found)
        finally:
            for descriptor in (reader, writer, kept):
                os.close(descriptor)


def _renew_lock() -> None:
    """A process that was forked while a thread was decoding must not wait for that thread."""
    global _ONE_AT_A_TIME
    _ONE_AT_A_TIME = threading.Lock()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_renew_lock)


def _drain(reader: int) -> str:
    content = b''
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(reader, 2**16):
            content += piece
    return content.decode(errors='replace')


def _sort(content: str, found: list[str]) -> None:
    others = ''
    for line in content.splitlines(keepends=True):
        if not _DAMAGE.match(line):
            others += line
            continue
        left_over = _LEFT_OVER.match(line)
        if left_over is None or int(left_over[1]) > _PADDING:
            found.append(line.strip())
    with contextlib.suppress(OSError):
        os.write(2, others.encode())
