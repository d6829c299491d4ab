"""Training and testing on unusual image files, some of them unusable."""
import json

import pytest

from eca_mm.compat import load_checkpoint_file
from tests.support import samples
from tests.support.odd_images import HEIGHT, WIDTH, turned, unusable, usable
from tests.support.processes import fails, run_script, run_tool

# What the annotations say of images that have not all the same size; a record of 60,000 x 60,000
# pixels would be refused before its image.
SIZES = {
    'long.png': (1, 5000), 'high.jpg': (5000, 1), 'small bomb.png': (10_000, 10_000),
    'damaged.png': (300, 300), 'no size.png': (1, 1), 'turned.jpg': (WIDTH, HEIGHT)}


def files():
    """All of them by name; pixels of one image are one pixel."""
    one = usable()['a png.jpg']
    return {**usable(), 'turned.jpg': turned(6), 'stored.jpg': turned(6), 'copy.png': one,
            **{name: content for name, (content, _) in unusable().items()}}


def detection(folder):
    """A COCO data set of these files."""
    (folder / 'coco/images').mkdir(parents=True)
    images, boxes = [], []
    for index, (name, content) in enumerate(files().items(), 1):
        (folder / 'coco/images' / name).write_bytes(content)
        height, width = SIZES.get(name, (HEIGHT, WIDTH))
        images.append({'id': index, 'file_name': name, 'height': height, 'width': width})
        boxes.append({'id': index, 'image_id': index, 'category_id': 1 + index % 3, 'iscrowd': 0,
                      'bbox': [0, 0, min(30, width), min(30, height)], 'area': 900})
    (folder / 'coco/annotations.json').write_text(json.dumps({
        'images': images, 'annotations': boxes, 'categories': [
            {'id': index, 'name': name} for index, name in enumerate(samples.CLASSES, 1)]}))
    # One pixel thin boxes aside, mmdet takes them all.
    return samples.write_config(folder / 'det.py', samples.DETECTION, folder / 'coco')


def classification(folder):
    """A folder for each class with these files."""
    for index, (name, content) in enumerate(files().items()):
        place = folder / 'classes' / samples.CLASSES[index % 3] / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    extensions = "extensions=('jpg', 'png', 'gif', 'webp', 'extension')"
    return samples.write_config(
        folder / 'cls.py', samples.CLASSIFICATION, folder / 'classes', f"""
for loader in (train_dataloader, test_dataloader):
    loader['dataset'] = dict(
        dataset, {extensions}, pipeline=[
            dict(type='LoadImageFromFile'), dict(type='Resize', scale=32),
            dict(type='PackInputs')])
val_dataloader, val_cfg, val_evaluator = test_dataloader, test_cfg, test_evaluator
""")


def listed(output, mode):
    """Names of the files that the log lists as skipped."""
    blocks = output.split(f' images were skipped ({mode}, epoch ')[1:]
    return [{name for name in unusable() if f'/{name} ' in block.split(' - ')[0]}
            for block in blocks]


@pytest.mark.parametrize('make', [
    classification, pytest.param(detection, marks=pytest.mark.slow)])
def test_skipping(tmp_path, make):
    config = make(tmp_path)
    result = run_tool(tmp_path, 'train.py', config, '--work-dir', 'run', '--cfg-options',
                      'on_bad_image=skip', 'train_cfg.max_epochs=2',
                      'train_dataloader.num_workers=2')
    assert result.returncode == 0, result.stderr[-3000:]
    assert listed(result.stdout, 'train') == [set(unusable())] * 2
    assert f'{len(unusable())} images were skipped (train, epoch 2)' in result.stdout
    report = next((tmp_path / 'run').glob('*/skipped_images_0.txt')).read_text().splitlines()
    assert len(report) >= 2 * len(unusable())
    weights = load_checkpoint_file(tmp_path / 'run/epoch_2.pth')['state_dict']
    assert all(weight.isfinite().all() for weight in weights.values())
    # In a test every image counts, also those that nothing can be seen of.
    result = run_tool(tmp_path, 'test.py', config, 'run/epoch_2.pth', '--out', 'predictions.pkl',
                      '--cfg-options', 'on_bad_image=skip')
    assert result.returncode == 0, result.stderr[-3000:]
    assert listed(result.stdout, 'test') == [set(unusable())]


@pytest.mark.slow
@pytest.mark.parametrize('make', [classification, detection])
def test_stopping(tmp_path, make):
    """Each run ends with one of them; without them it comes to its end."""
    config = make(tmp_path)
    left = set(unusable())
    while left:
        sentence = fails(run_tool(tmp_path, 'train.py', config), 'Image ')
        (bad, ) = [name for name in left if f'/{name} ' in sentence]
        path, = (tmp_path / ('coco/images' if make is detection else 'classes')).rglob(bad)
        path.write_bytes(usable()['plain.jpg'])
        if make is detection:
            annotations = json.loads((tmp_path / 'coco/annotations.json').read_text())
            for image in annotations['images']:
                if image['file_name'] == bad:
                    image.update(height=HEIGHT, width=WIDTH)
            (tmp_path / 'coco/annotations.json').write_text(json.dumps(annotations))
        left.remove(bad)
    result = run_tool(tmp_path, 'train.py', config)
    assert result.returncode == 0, result.stderr[-3000:]
    result = run_tool(tmp_path, 'test.py', config, f'work_dirs/{config.stem}/epoch_1.pth')
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.slow
def test_skipping_in_two_processes(tmp_path):
    config = classification(tmp_path)
    result = run_script(tmp_path, 'dist_train.sh', config, 2, '--work-dir', 'run', '--cfg-options',
                        'on_bad_image=skip', 'train_dataloader.num_workers=1')
    assert result.returncode == 0, result.stderr[-3000:]
    # Those of both processes, in one list.
    assert listed(result.stdout, 'train') == [set(unusable())]
    assert listed(result.stdout, 'val') == [set(unusable())]
