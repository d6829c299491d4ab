import io

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.registry import TRANSFORMS
from PIL import Image

from eca_mm.datasets import LoadImage
from eca_mm.datasets.loading import is_truncated
from eca_mm.utils.errors import UserError


def encode(kind: str, **options) -> bytes:
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, kind, **options)
    return stream.getvalue()


def with_thumbnail() -> bytes:
    """A JPEG whose header embeds another JPEG, with its own end marker."""
    thumbnail = encode('JPEG', quality=10)
    segment = b'\xff\xe1' + (len(thumbnail) + 2).to_bytes(2, 'big') + thumbnail
    whole = encode('JPEG')
    return whole[:2] + segment + whole[2:]


IMAGES = {
    'baseline': encode('JPEG'), 'progressive': encode('JPEG', progressive=True),
    'thumbnail': with_thumbnail(), 'png': encode('PNG'),
    # Fill bytes before a marker are allowed.
    'fill': encode('JPEG').replace(b'\xff\xdb', b'\xff\xff\xff\xdb', 1),
}


@pytest.mark.parametrize('name', IMAGES)
def test_truncation_is_found_at_every_length(name):
    data = IMAGES[name]
    assert not is_truncated(data)
    assert not is_truncated(data + b'\0trailing bytes')
    for length in range(10, len(data) - 1, 7):
        assert is_truncated(data[:length]), length
    assert is_truncated(data[:-1])


def test_other_formats_are_left_to_the_decoder():
    assert not is_truncated(encode('BMP')[:100])
    assert not is_truncated(encode('GIF')[:100])


@pytest.mark.parametrize('name', IMAGES)
@pytest.mark.parametrize('options', [
    {}, {'to_float32': True}, {'color_type': 'grayscale'}, {'imdecode_backend': 'pillow'},
    {'backend_args': {'backend': 'local'}},
])
def test_whole_images_are_what_mmcv_reads(tmp_path, name, options):
    path = tmp_path / 'image'
    path.write_bytes(IMAGES[name] + b'trailing')
    expected = LoadImageFromFile(**options)({'img_path': str(path)})
    found = TRANSFORMS.build({'type': 'LoadImage', **options})({'img_path': str(path)})
    assert found.keys() == expected.keys()
    assert found['img'].dtype == expected['img'].dtype
    assert np.array_equal(found['img'], expected['img'])
    assert found['img_shape'] == found['ori_shape'] == (40, 60)


@pytest.mark.parametrize(('content', 'reason'), [
    (None, 'No such file'),
    (b'', '0 bytes'),
    (b'no image at all', 'damaged or no image'),
    (IMAGES['baseline'][:-50], 'truncated'),
    (IMAGES['png'][:-50], 'truncated'),
    (b'\xff\xd8\xff' + bytes(99) + b'\xff\xd9', 'damaged or no image|cannot be decoded'),
])
def test_an_unreadable_image_is_named(tmp_path, content, reason):
    path = tmp_path / 'broken.jpg'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=reason) as caught:
        LoadImage()({'img_path': str(path)})
    assert str(path) in str(caught.value)
    assert LoadImage(ignore_empty=True)({'img_path': str(path)}) is None
