"""Each image that was skipped is listed once, after the epoch that it was skipped in."""
import json
from types import SimpleNamespace

from eca_mm.engine.hooks import ListSkippedImagesHook


def test_each_epoch_lists_its_own(tmp_path, said):
    hook = ListSkippedImagesHook(str(tmp_path))
    hook._after_epoch(SimpleNamespace(epoch=0))
    for epoch, count in enumerate((2, 0, 23, 20)):
        with open(tmp_path / 'skipped_images_0.txt', 'a') as stream:
            for index in range(count):
                # Several workers may report one image.
                line = json.dumps([f'{index:02d}.jpg', f'{epoch}/{index:02d}.jpg is empty'])
                stream.write(f'{line}\n' * 2)
        hook._after_epoch(SimpleNamespace(epoch=epoch), 'val')
    first, third, fourth = said
    assert first == ('2 images were skipped (val, epoch 0):\n  0/00.jpg is empty\n'
                     '  0/01.jpg is empty')
    assert third.startswith('23 images were skipped (val, epoch 2)') and '0/00' not in third
    assert 'and 3 more' in third and '2/19.jpg' in third and '2/20.jpg' not in third
    assert 'more' not in fourth and '3/19.jpg' in fourth
    said.clear()
    hook._after_epoch(SimpleNamespace(epoch=4))
    assert not said
