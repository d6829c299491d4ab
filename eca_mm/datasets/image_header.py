"""Sizes of images from the first bytes of their files, before anything is decoded."""
import io
import warnings

from PIL import Image

from eca_mm.utils.errors import UserError

JPEG_START, PNG_START = b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n'
# Start-of-frame markers; between them lie tables (C4, CC) and an extension (C8).
_FRAMES = frozenset({*range(0xc0, 0xd0)} - {0xc4, 0xc8, 0xcc})


def stated_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that an image file states, as the decoder will read them.

    PNG and JPEG are read here, since Pillow gives up on files that OpenCV decodes; all others are
    read by Pillow.

    Args:
        data (bytes): The file's content.

    Returns:
        tuple[int, int] | None: None where no size can be read: nothing should decode such a file.

    Raises:
        UserError: If Pillow finds that it would take far too much memory.
    """
    size = (_png_size(data) if data.startswith(PNG_START) else
            _jpeg_size(data) if data.startswith(JPEG_START) else _other_size(data))
    return None if size is None or 0 in size else size


def _other_size(data: bytes) -> tuple[int, int] | None:
    try:
        with warnings.catch_warnings():
            # Pillow's own limit comes with a warning first.
            warnings.simplefilter('ignore')
            return Image.open(io.BytesIO(data)).size
    except Image.DecompressionBombError as error:
        raise UserError(f'it would have more pixels than Pillow allows ({error})') from error
    except Exception:
        return None


def _png_size(data: bytes) -> tuple[int, int] | None:
    if data[12:16] != b'IHDR' or len(data) < 24:
        return None
    return int.from_bytes(data[16:20], 'big'), int.from_bytes(data[20:24], 'big')


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xff:
            # Bytes between segments, which decoders skip.
            position = data.find(b'\xff', position)
            if position < 0:
                return None
            continue
        marker = data[position + 1]
        if marker in _FRAMES:
            height, width = data[position + 5:position + 7], data[position + 7:position + 9]
            return int.from_bytes(width, 'big'), int.from_bytes(height, 'big')
        if marker in (0xda, 0xd9):
            return None
        # Fill bytes and markers without a segment.
        alone = marker in (0xff, 0x00, 0x01) or 0xd0 <= marker <= 0xd8
        length = int.from_bytes(data[position + 2:position + 4], 'big')
        position += 1 if marker == 0xff else 2 if alone else 2 + max(2, length)
    return None
