import json

import numpy as np
import pytest
from mmengine.registry import TRANSFORMS

from eca_mm.datasets import LoadImage
from eca_mm.utils.errors import UserError
from tests.support.odd_images import (
    HEIGHT,
    WIDTH,
    picture,
    rgb,
    save,
    turned,
    unusable,
    usable,
)


def load(folder, content, name='image', backend='cv2', size=None, **options):
    path = folder / name
    path.write_bytes(content)
    sample = {'img_path': str(path)}
    if size is not None:
        sample.update(height=size[0], width=size[1])
    return LoadImage(imdecode_backend=backend, **options)(sample)


@pytest.mark.parametrize('name', usable())
def test_unusual_files_are_read_as_the_picture_that_they_show(tmp_path, name):
    image = load(tmp_path, usable()[name], name)['img']
    assert image.shape == (HEIGHT, WIDTH, 3) and image.dtype == np.uint8
    # JPEG and palettes lose something; a wrong conversion loses far more.
    assert np.abs(image.astype(int) - picture()).mean() < 6


@pytest.mark.parametrize('name', unusable())
def test_what_cannot_be_used_is_refused_by_name(tmp_path, name):
    content, reason = unusable()[name]
    with pytest.raises(UserError, match=reason) as caught:
        load(tmp_path, content, name)
    assert str(tmp_path / name) in str(caught.value) and '\n' not in str(caught.value)


def test_one_pixel_is_an_image(tmp_path):
    assert load(tmp_path, save(rgb(1, 1), 'PNG'))['img_shape'] == (1, 1)


def test_the_limits_can_be_moved(tmp_path):
    with pytest.raises(UserError, match='60 x 40 pixels, which is more than the 2399 allowed'):
        load(tmp_path, save(rgb(), 'PNG'), max_pixels=2399)
    assert load(tmp_path, save(rgb(1, 5000), 'PNG'), max_ratio=5000)['img_shape'] == (1, 5000)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_turned_pictures_are_turned_upright_or_follow_their_annotations(
        tmp_path, backend, orientation):
    content = turned(orientation)
    upright = (HEIGHT, WIDTH) if orientation < 5 else (WIDTH, HEIGHT)
    assert load(tmp_path, content, backend=backend)['img_shape'] == upright
    found = load(tmp_path, content, backend=backend, size=upright)
    assert found['img_shape'] == upright
    # Drawn on the picture as it is stored: its dark corner is where the file has it.
    stored = load(tmp_path, content, backend=backend, size=(HEIGHT, WIDTH))
    assert stored['img_shape'] == (HEIGHT, WIDTH)
    if orientation > 4:
        assert np.abs(stored['img'].astype(int) - picture()).mean() < 6


@pytest.mark.parametrize('size', [(HEIGHT, WIDTH + 1), (WIDTH, HEIGHT), (1, 1)])
def test_annotations_of_another_picture_are_refused(tmp_path, size):
    with pytest.raises(UserError, match='60 x 40 pixels, but its annotations are for'):
        load(tmp_path, save(rgb(), 'JPEG'), size=size)


def test_skipped_images_are_written_down(tmp_path):
    report = tmp_path / 'report'
    options = {'on_bad_image': 'skip', 'report': str(report)}
    assert load(tmp_path, b'', 'a', **options) is None
    assert load(tmp_path, b'?', 'b', blank=True, size=(3, 5), **options)['img'].shape == (3, 5, 3)
    assert load(tmp_path, b'?', 'b', blank=True, **options)['img_shape'] == (224, 224)
    assert load(tmp_path, save(rgb(), 'PNG'), 'c', **options)['img'].any()
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [path for path, _ in lines] == [str(tmp_path / name) for name in 'abb']
    assert all(path in reason for path, reason in lines)


def test_a_folder_without_any_image_ends(tmp_path):
    loading = LoadImage(on_bad_image='skip')
    with pytest.raises(UserError, match='100 images in a row.*none'):
        for _ in range(100):
            loading({'img_path': str(tmp_path / 'none')})


def test_a_wrong_choice_is_refused():
    with pytest.raises(UserError, match="'error' or 'skip'"):
        TRANSFORMS.build({'type': 'LoadImage', 'on_bad_image': 'ignore'})
