"""Which names of images stay in a data set's folders."""
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
