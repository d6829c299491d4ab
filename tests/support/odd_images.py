"""Unusual and unusable image files."""
import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 60


def picture(height: int = HEIGHT, width: int = WIDTH, channels: int = 3) -> np.ndarray:
    """A smooth picture whose left upper corner is dark and whose right lower corner is bright."""
    ramp = np.add.outer(np.linspace(0, 127, height), np.linspace(0, 127, width))
    return np.repeat(ramp[..., None], channels, 2).astype(np.uint8)


def save(image: Image.Image, kind: str, **options) -> bytes:
    """Encode a picture."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def rgb(height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    """The picture as Pillow's."""
    return Image.fromarray(picture(height, width))


def turned(orientation: int, kind: str = 'JPEG') -> bytes:
    """A picture stored rotated, with the flag for it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return save(rgb(), kind, exif=exif)


def animated(kind: str) -> bytes:
    """The picture, then a white one."""
    white = Image.new('RGB', (WIDTH, HEIGHT), 'white')
    return save(rgb(), kind, save_all=True, append_images=[white], duration=50)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims any size."""
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack('>I', len(data)) + name + data + struct.pack(
            '>I', zlib.crc32(name + data))
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header)
            + chunk(b'IDAT', zlib.compress(bytes(1000))) + chunk(b'IEND', b''))


def usable() -> dict:
    """Files by name that show the picture, or all of it that their kind can."""
    sixteen = cv2.imencode('.png', picture().astype(np.uint16) * 257)[1].tobytes()
    return {
        'plain.jpg': save(rgb(), 'JPEG', quality=95),
        'grey.jpg': save(rgb().convert('L'), 'JPEG', quality=95),
        'grey.png': save(rgb().convert('L'), 'PNG'),
        'rgba.png': save(rgb().convert('RGBA'), 'PNG'),
        'grey with alpha.png': save(rgb().convert('LA'), 'PNG'),
        'palette.png': save(rgb().convert('P', palette=Image.Palette.ADAPTIVE), 'PNG'),
        'cmyk.jpg': save(rgb().convert('CMYK'), 'JPEG', quality=95),
        '16 bit.png': sixteen,
        '16 bit grey.png': cv2.imencode(
            '.png', picture(channels=1).astype(np.uint16) * 257)[1].tobytes(),
        'animated.gif': animated('GIF'),
        'animated.png': animated('PNG'),
        'animated.webp': animated('WEBP'),
        'a png.jpg': save(rgb(), 'PNG'),
        'a jpeg.png': save(rgb(), 'JPEG', quality=95),
        'no extension': save(rgb(), 'BMP'),
    }


def unusable() -> dict:
    """Files by name that are not images or cannot be trained on, and the expected message."""
    return {
        'truncated.jpg': (save(rgb(), 'JPEG')[:-60], 'truncated'),
        'truncated.png': (save(rgb(), 'PNG')[:-60], 'truncated'),
        'empty.jpg': (b'', '0 bytes'),
        'text.jpg': (b'no image', 'damaged or no image'),
        'long.png': (save(rgb(1, 5000), 'PNG'), '5000 x 1 pixels'),
        'high.jpg': (save(rgb(5000, 1), 'JPEG'), '1 x 5000 pixels'),
        'bomb.png': (bomb(60_000, 60_000), 'pixels'),
        'small bomb.png': (bomb(10_000, 10_000), 'max_pixels'),
        'damaged.png': (bomb(300, 300), 'damaged|decoded'),
        'no size.png': (bomb(0, 0), 'damaged|decoded'),
    }
