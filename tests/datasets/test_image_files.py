"""Which names of images stay in a data set's folders, and which files exist."""
import pytest

from eca_mm.datasets import image_files
from eca_mm.datasets.image_files import ImageRoots


def test_names_that_leave_the_folders(tmp_path):
    root, images = tmp_path / 'data', tmp_path / 'data/images'
    roots = ImageRoots(str(root), str(images))
    for name in ('a.jpg', 'b/../a.jpg', '../more/a.jpg', str(root / 'a.jpg')):
        assert roots.contains(name), name
    for name in ('../../a.jpg', str(tmp_path / 'a.jpg'), str(root) + '2/a.jpg',
                 'https://host/a.jpg'):
        assert not roots.contains(name), name
    anywhere = ImageRoots(str(root), str(images), allow_outside=True)
    assert anywhere.contains('../../a.jpg') and not anywhere.contains('https://host/a.jpg')


@pytest.mark.parametrize('others', [0, image_files._FEW])
def test_a_link_to_a_file_that_is_gone_is_not_an_image(tmp_path, others):
    (tmp_path / 'real.jpg').touch()
    (tmp_path / 'link.jpg').symlink_to(tmp_path / 'real.jpg')
    (tmp_path / 'dangling.jpg').symlink_to(tmp_path / 'gone.jpg')
    names = ['real', 'link', 'dangling', 'absent', *map(str, range(others))]
    present, links = image_files._look_up(
        str(tmp_path), [str(tmp_path / f'{name}.jpg') for name in names])
    assert present == {str(tmp_path / 'real.jpg'), str(tmp_path / 'link.jpg')}
    assert links == {str(tmp_path / 'link.jpg'), str(tmp_path / 'dangling.jpg')}
