"""Damaged images, and images that would take all memory or time."""
import io
import os
import random
import struct
import sys
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from eca_mm.datasets import LoadImage
from eca_mm.datasets.decoder_messages import decoder_messages
from eca_mm.datasets.image_header import stated_size
from eca_mm.utils.errors import UserError
from tests.support.odd_images import picture, turned, usable

REAL = os.environ.get('ECA_MM_COCO_ROOT')


def noisy(height=480, width=640, seed=0):
    """A picture with as much detail as a photograph's."""
    rng = np.random.default_rng(seed)
    return np.clip(picture(height, width).astype(int) + rng.integers(-40, 40, (height, width, 1)),
                   0, 255).astype(np.uint8)


def jpeg(**options):
    stream = io.BytesIO()
    Image.fromarray(noisy()).save(stream, 'JPEG', quality=90, **options)
    return stream.getvalue()


def damaged(data, kind, rng):
    """Four kilobytes in the middle of a file, changed."""
    start = rng.randrange(len(data) // 4, len(data) // 2)
    return {
        'zeroed': data[:start] + bytes(4096) + data[start + 4096:],
        'randomised': data[:start] + rng.randbytes(4096) + data[start + 4096:],
        'missing': data[:start] + data[start + 4096:],
        'cut and closed': data[:start] + b'\xff\xd9',
    }[kind]


def load(folder, data, **options):
    path = folder / 'image'
    path.write_bytes(data)
    return LoadImage(**options)({'img_path': str(path)})['img']


KINDS = ('zeroed', 'randomised', 'missing', 'cut and closed')


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('options', [{}, {'progressive': True}, {'restart_marker_rows': 1},
                                     {'subsampling': 0}], ids=str)
def test_damaged_jpegs_are_refused(tmp_path, options, kind, backend):
    data = jpeg(**options)
    load(tmp_path, data, imdecode_backend=backend)
    for seed in range(3):
        with pytest.raises(UserError, match='damaged|decoded') as caught:
            load(tmp_path, damaged(data, kind, random.Random(seed)), imdecode_backend=backend)
        assert str(tmp_path / 'image') in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.skipif(REAL is None, reason='needs ECA_MM_COCO_ROOT')
@pytest.mark.parametrize('kind', KINDS)
def test_damaged_photographs_are_refused(tmp_path, kind):
    paths = sorted(Path(REAL).rglob('*.jpg'))[:50]
    rng, accepted = random.Random(0), []
    for path in paths:
        data = path.read_bytes()
        load(tmp_path, data)
        try:
            load(tmp_path, damaged(data, kind, rng))
            accepted.append(path.name)
        except UserError:
            continue
    # By chance zeros can decode to just as many blocks.
    assert len(accepted) <= (1 if kind == 'zeroed' else 0), accepted


@pytest.mark.parametrize('padding', [b'\0', b'\xff\xff', bytes(4)])
def test_padding_before_the_end_is_accepted(tmp_path, padding):
    data = jpeg()
    load(tmp_path, data[:-2] + padding + data[-2:])


def test_nothing_is_lost_that_others_write_meanwhile(capfd):
    with decoder_messages() as messages:
        os.write(2, b'of another\nCorrupt JPEG data: premature end of data segment\n')
        os.write(2, b'Corrupt JPEG data: 5 extraneous bytes before marker 0xd9\n')
    assert messages == ['Corrupt JPEG data: premature end of data segment']
    assert capfd.readouterr().err == 'of another\n'
    with pytest.raises(ZeroDivisionError), decoder_messages():
        os.write(2, b'a' * 200_000) and 1 / 0
    assert set(capfd.readouterr().err) <= {'a'}


def test_many_threads_decode_at_a_time(tmp_path):
    good, bad = jpeg(), damaged(jpeg(), 'missing', random.Random(0))
    wrong = []

    def work(number):
        folder = tmp_path / str(number)
        folder.mkdir()
        for _ in range(20):
            try:
                load(folder, bad if number % 2 else good)
                wrong.extend([number] * (number % 2))
            except UserError:
                wrong.extend([number] * (1 - number % 2))

    threads = [threading.Thread(target=work, args=(number, )) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def chunk(name, data, crc=None):
    crc = zlib.crc32(name + data) if crc is None else crc
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', crc)


def png(width, height, *extra):
    rows = zlib.compress(bytes((width * 3 + 1) * min(height, 10)))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0,
                                                              0))
            + b''.join(extra) + chunk(b'IDAT', rows) + chunk(b'IEND', b''))


@pytest.mark.parametrize('extra', [
    chunk(b'tEXt', b'a\0b', 1), chunk(b'zTXt', b'a\0\0broken'), chunk(b'iTXt', b'a'),
    chunk(b'iCCP', b'x'), chunk(b'eXIf', b'??'), chunk(b'IHDR', bytes(13)), chunk(b'abcd', b''),
    chunk(b'acTL', b''), chunk(b'tEXt', bytes(10**5), 0),
], ids=repr)
def test_no_chunk_hides_the_size_of_a_png(tmp_path, extra):
    with pytest.raises(UserError, match='40000 x 40000 pixels'):
        load(tmp_path, png(40_000, 40_000, extra))


@pytest.mark.parametrize('extra', [chunk(b'tEXt', b'a\0b', 1), chunk(b'zTXt', b'a\0\0broken')])
def test_a_png_with_a_broken_text_is_read_within_the_limits(tmp_path, extra):
    assert load(tmp_path, png(20, 10, extra)).shape == (10, 20, 3)


def test_what_the_check_cannot_read_is_not_decoded(tmp_path, monkeypatch):
    import mmcv
    monkeypatch.setattr(mmcv, 'imfrombytes', lambda *args, **kwargs: pytest.fail('decoded'))
    for data in (b'?' * 100, b'\xff\xd8\xff\xda' + bytes(50) + b'\xff\xd9', png(0, 0)[:20] + bytes(
            30) + b'IEND\xaeB`\x82', b'\x76\x2f\x31\x01' + bytes(99), b'#?RADIANCE\n' + bytes(99)):
        with pytest.raises(UserError, match='damaged or no image'):
            load(tmp_path, data)


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_no_program_is_started_for_a_picture(tmp_path, monkeypatch, backend):
    from PIL import EpsImagePlugin
    monkeypatch.setattr(EpsImagePlugin, 'Ghostscript', lambda *args, **kwargs: pytest.fail('run'))
    data = (b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n')
    with pytest.raises(UserError, match='damaged or no image'):
        load(tmp_path, data, imdecode_backend=backend)


def tiff(side, *more):
    tags = sorted([(256, side), (257, side), (258, 8), (259, 1), (262, 1), (277, 1), *more])
    content = b''.join(struct.pack('<2H2L', tag, 4, 1, value) for tag, value in tags)
    return struct.pack('<2s3H', b'II', 42, 8, 0) + struct.pack('<H', len(tags)) + content + bytes(
        4) + bytes(10**4)


def test_tiles_of_a_tiff_are_no_larger_than_it(tmp_path):
    strips, tiles = [(273, 200), (278, 10), (279, 100)], [(324, 200), (325, 100)]
    assert load(tmp_path, tiff(10, *strips)).shape == (10, 10, 3)
    with pytest.raises(UserError, match='it has tiles of 16000 x 16000 pixels'):
        load(tmp_path, tiff(10, *tiles, (322, 16000), (323, 16000)))


def test_the_decoded_size_is_checked_too(tmp_path, monkeypatch):
    from eca_mm.datasets import loading
    monkeypatch.setattr(loading, 'stated_size', lambda data: (1, 1))
    with pytest.raises(UserError, match='60 x 40 pixels, which is more than the 100 allowed'):
        load(tmp_path, usable()['plain.jpg'], max_pixels=100)


@pytest.mark.parametrize('name', usable())
def test_stated_sizes_are_those_of_the_decoder(name):
    assert stated_size(usable()[name]) == (60, 40)


@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
def test_stated_sizes_are_those_of_the_stored_picture(orientation):
    assert stated_size(turned(orientation)) == (60, 40)


def test_stated_size_of_a_jpeg_with_fill_bytes_and_a_thumbnail():
    data = jpeg()
    thumbnail = cv2.imencode('.jpg', picture(8, 8))[1].tobytes()
    segment = b'\xff\xe5' + struct.pack('>H', len(thumbnail) + 2) + thumbnail
    assert stated_size(data[:2] + segment + b'\xff\xff' + data[2:]) == (640, 480)


@pytest.mark.skipif(sys.platform == 'win32', reason='no pipes in the file system')
def test_pipes_and_devices_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'link.jpg').symlink_to('/dev/zero')
    for name in ('pipe.jpg', 'link.jpg'):
        with pytest.raises(UserError, match='it is a pipe or a device'):
            LoadImage()({'img_path': str(tmp_path / name)})
