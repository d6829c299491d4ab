"""Sizes of images from the first bytes of their files, before anything is decoded."""
import functools
import io
import warnings

from PIL import Image

from eca_mm.utils.errors import UserError

JPEG_START, PNG_START = b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n'
# Tags of TIFF, and pixels of a tile, for which decoders take memory whatever the image has.
_TILE_SIDES, _LARGEST_TILE = (322, 323), 2**22
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
        UserError: If it would take far too much memory, by Pillow's limit or its tiles.
    """
    size = (_png_size(data) if data.startswith(PNG_START) else
            _jpeg_size(data) if data.startswith(JPEG_START) else _other_size(data))
    return None if size is None or 0 in size else size


def _other_size(data: bytes) -> tuple[int, int] | None:
    try:
        with warnings.catch_warnings():
            # Pillow's own limit comes with a warning first.
            warnings.simplefilter('ignore')
            with Image.open(io.BytesIO(data), formats=_raster_formats()) as image:
                return _checked_tiles(image)
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(f'it would have more pixels than Pillow allows ({error})') from error
    except Exception:
        return None


@functools.cache
def _raster_formats() -> tuple[str, ...]:
    """Pillow's names of the formats that hold pixels; for others it starts programs (EPS)."""
    Image.init()
    return tuple(name for name in ('AVIF', 'BMP', 'DIB', 'GIF', 'JPEG2000', 'PCX', 'PPM', 'SGI',
                                   'SUN', 'TGA', 'TIFF', 'WEBP') if name in Image.OPEN)


def _checked_tiles(image: Image.Image) -> tuple[int, int]:
    tags = getattr(image, 'tag_v2', {})
    width, height = (tags.get(tag, 0) for tag in _TILE_SIDES)
    if width * height > max(_LARGEST_TILE, image.size[0] * image.size[1]):
        raise UserError(f'it has tiles of {width} x {height} pixels')
    return image.size


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
