"""COCO files with arbitrary content: loaded, or refused with an error that names the entry."""
import copy
import json
import os
import random

import numpy as np
import pycocotools.mask
import pytest
from mmdet.datasets.api_wrappers import COCO
from mmengine.registry import DATASETS, DefaultScope

from eca_mm.datasets.coco_records import BadRecord, check_annotation, check_image, usable_mask
from eca_mm.utils.errors import UserError
from tests.support.samples import CLASSES, draw_coco

HUGE = 10**400
NAN, INF = float('nan'), float('inf')
ODD = [None, True, '', 'x', '\0', '\ud800', -1, 0, 1, 1.5, 2**31, 2**53 + 1, 2**64, HUGE, -HUGE,
       1e308, -1e308, NAN, INF, [], {}, [[]], [1], [1, 2, 3, 4], {'id': 1}, 'é' * 300]
NAMES = ['../../secret.jpg', '../../../secret.jpg', '/etc/passwd', '{outside}/secret.jpg',
         'link.jpg', 'linked/secret.jpg', 'a/../../../secret.jpg', './001.jpg', 'http://localhost/001.jpg',
         'file:///etc/passwd', '/etc://passwd', '~/secret.jpg', '.', '..', '', '001.jpg\0',
         'x' * 5000]
NUMBERS = [-1e6, -1, -0.5, 0, 0.2, 1, 31.5, 64, 65, 1e5, 1e9, 1e300, NAN, INF, HUGE]
COUNTS = [[64 * 64], [100, 3996], [0, 4096], [4095], [5000], [-1, 4097], [], [2**40], [True, 4095],
          ['a'], [1.5, 4094.5], [0] * 4096 + [4096], None]


def polygon(rng):
    if rng.random() < 0.3:
        # A bow tie, which crosses itself.
        return [4, 4, 30, 30, 30, 4, 4, 30]
    return [rng.choice(NUMBERS) if rng.random() < 0.1 else rng.uniform(0, 64)
            for _ in range(rng.choice([0, 1, 2, 4, 5, 6, 8, 9, 60]))]


def rle(rng):
    height, width = rng.choice([(64, 64), (64, 64), (64, 65), (1, 1), (10**5, 10**5), (-1, 64)])
    if rng.random() < 0.5:
        counts = rng.choice(COUNTS)
    else:
        whole = np.zeros((64, 64), np.uint8, 'F')
        whole[:rng.randrange(64), :rng.randrange(64)] = 1
        counts = pycocotools.mask.encode(whole)['counts'].decode()
        if rng.random() < 0.7:
            place = rng.randrange(len(counts) + 1)
            wrong = rng.choice(['', 'o', 'oooo', '\0', '/', 'é', '0', '`' * 20])
            counts = counts[:place] + wrong + counts[place + rng.randrange(2):]
    return {'size': [height, width], 'counts': counts}


def mutate(content, rng):
    """Change one to four things of a COCO file."""
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        part = rng.choice(['images', 'annotations', 'annotations', 'annotations', 'categories'])
        entries = content.get(part)
        if not (isinstance(entries, list) and entries):
            continue
        entry = rng.choice(entries)
        kind = rng.randrange(12)
        if not isinstance(entry, dict) or not entry:
            continue
        key = rng.choice(sorted(entry))
        if kind == 0:
            entry.pop(key)
        elif kind < 3:
            entry[key] = copy.deepcopy(rng.choice(ODD))
        elif kind == 3 and part == 'images':
            entry['file_name'] = rng.choice(NAMES)
        elif kind < 6 and part == 'annotations':
            entry['segmentation'] = rng.choice([
                [polygon(rng)], [polygon(rng), polygon(rng)], [], rle(rng), rle(rng),
                rng.choice(ODD)])
        elif kind < 8 and part == 'annotations':
            entry['bbox'] = [rng.choice(NUMBERS) for _ in range(rng.choice([4, 4, 4, 4, 3, 5]))]
        elif kind == 8:
            entries.append(copy.deepcopy(entry))
        elif kind == 9:
            entries[rng.randrange(len(entries))] = copy.deepcopy(rng.choice(ODD))
        elif kind == 10 and rng.random() < 0.2:
            content[part] = copy.deepcopy(rng.choice(ODD))
        elif kind == 11 and part == 'annotations':
            entry['category_id'] = rng.choice([0, 7, -1, '1', [1]])
    return content


def garble(text, rng):
    """Damage the bytes of a file, now and then."""
    data = text.encode('utf-8', 'surrogatepass')
    choice = rng.random()
    if choice < 0.02:
        return data[:rng.randrange(len(data))]
    if choice < 0.04:
        place = rng.randrange(len(data))
        return data[:place] + bytes([rng.randrange(128, 256)]) + data[place:]
    if choice < 0.05:
        return b'[' * 200_000
    if choice < 0.06:
        return '\ufeff'.encode() + data
    return data


@pytest.fixture
def data(tmp_path):
    """The folder of a data set with links that lead out of it."""
    root = tmp_path / 'root/data'
    draw_coco(root)
    (tmp_path / 'root/secret.jpg').write_bytes((root / 'images/001.jpg').read_bytes())
    (root / 'images/link.jpg').symlink_to(tmp_path / 'root/secret.jpg')
    (root / 'images/linked').symlink_to(tmp_path / 'root')
    return root


def load_all(path, masks, test_mode):
    """Build the data set and load every sample of it."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        data = DATASETS.build({
            'type': 'CheckedCocoDataset', 'data_root': str(path.parent), 'ann_file': path.name,
            'data_prefix': {'img': 'images/'}, 'metainfo': {'classes': CLASSES},
            'test_mode': test_mode, 'pipeline': [
                {'type': 'LoadImage'},
                {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': masks},
                {'type': 'PackDetInputs', 'meta_keys': ('img_path', 'img_id', 'ori_shape')}]})
    return data, [data[index] for index in range(len(data))]


def check(data, samples, path, root):
    """A file that was accepted must have been understood."""
    content = json.loads(path.read_bytes())
    assert len(samples) <= len(content['images'])
    for sample in samples:
        sample = sample['data_samples']
        assert os.path.realpath(sample.img_path).startswith(f'{os.path.realpath(root)}{os.sep}')
        for part in (sample.gt_instances, sample.ignored_instances):
            assert len(part) == 0 or (part.bboxes.tensor.isfinite().all()
                                      and 0 <= part.labels.min() <= part.labels.max() < 3)
            if 'masks' in part:
                assert part.masks.masks.shape[1:] == sample.ori_shape
    # What evaluation does with the masks; memory errors in there end the tests.
    coco = COCO(str(path))
    for ann in coco.anns.values():
        ann['segmentation'], _ = usable_mask(ann.get('segmentation'))
        if ann['image_id'] in coco.imgs and ann['segmentation']:
            image = coco.imgs[ann['image_id']]
            assert coco.annToMask(ann).shape == (image['height'], image['width'])


def run(data, first, last):
    whole = json.loads((data / 'annotations.json').read_text())
    for index, ann in enumerate(whole['annotations']):
        x, y, width, height = ann['bbox']
        ann['segmentation'] = [[x, y, x + width, y, x + width, y + height, x, y + height]] if (
            index % 3) else {'size': [64, 64], 'counts': [1000, 96, 3000]}
    path = data / 'fuzzed.json'
    accepted, refused = 0, {}
    for seed in range(first, last):
        rng = random.Random(seed)
        text = json.dumps(mutate(copy.deepcopy(whole), rng))
        path.write_bytes(garble(text, rng))
        try:
            found = load_all(path, masks=seed % 2 == 0, test_mode=seed % 3 == 0)
            check(*found, path, data)
            accepted += 1
        except UserError as error:
            sentence = str(error)
            assert '\n' not in sentence and len(sentence) < 1000, (seed, sentence)
            assert str(path) in sentence or str(data / 'images') in sentence, (seed, sentence)
            refused[seed] = sentence
        except BaseException as error:
            raise AssertionError(f'seed {seed}: {type(error).__name__}') from error
    return accepted, refused


def test_fuzzed_files(data):
    accepted, refused = run(data, 0, 60)
    assert accepted >= 10 and len(refused) >= 20


@pytest.mark.slow
@pytest.mark.parametrize('first', range(1000, 2000, 200))
def test_a_thousand_fuzzed_files(data, capsys, first):
    accepted, refused = run(data, first, first + 200)
    with capsys.disabled():
        print(f'\nseeds from {first}: {accepted} files loaded, {len(refused)} refused')
    assert accepted >= 20 and len(refused) >= 60


@pytest.mark.parametrize('name', NAMES)
def test_no_file_name_leads_out(data, name):
    content = json.loads((data / 'annotations.json').read_text())
    content['images'][2]['file_name'] = name.format(outside=data.parent)
    path = data / 'named.json'
    path.write_text(json.dumps(content))
    if name == './001.jpg':
        assert len(load_all(path, False, False)[1]) == 4
        return
    with pytest.raises(UserError, match='image 3|/images') as caught:
        load_all(path, False, False)
    # The others are missing, or are not file names.
    if ('secret' in name and name[0] != '~') or '/' in name[:1] or '://' in name or 'link' in name:
        assert 'out of the data root' in str(caught.value)


def test_a_data_root_that_is_a_link_is_fine(data, tmp_path):
    (tmp_path / 'alias').symlink_to(data)
    assert len(load_all(tmp_path / 'alias/annotations.json', False, False)[1]) == 4


@pytest.mark.parametrize(('mask', 'problem'), [
    ({'size': [4, 4], 'counts': [16]}, r'RLE of size \[4, 4\]'),
    ({'size': [3, 5], 'counts': [16]}, 'RLE of 16 pixels'),
    ({'size': [3, 5], 'counts': '`0'}, 'RLE of 16 pixels'),
    ({'size': [3, 5], 'counts': 'o'}, 'cannot be decoded'),
    ([[0, 0, 1e9, 0, 2, 2]], 'far outside'),
    ([[0, 0, float('nan'), 0, 2, 2]], 'far outside'),
    ([['a'] * 6], 'numbers x, y'), (7, 'polygons or an RLE'),
])
def test_masks_that_pycocotools_must_not_see(mask, problem):
    annotation = {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [0, 0, 1, 1], 'area': 1}
    image = {'id': 1, 'file_name': 'a', 'height': 3, 'width': 5}
    check_annotation(annotation, image)
    with pytest.raises(BadRecord, match=problem):
        check_annotation({**annotation, 'segmentation': mask}, image)


def test_an_outline_that_would_fill_the_memory():
    image = {'id': 1, 'file_name': 'a', 'height': 9000, 'width': 9000}
    check_image(image)
    annotation = {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [0, 0, 1, 1], 'area': 1}
    check_annotation({**annotation, 'segmentation': [[5, 5] * 10_000]}, image)
    with pytest.raises(BadRecord, match='pixels long'):
        check_annotation({**annotation, 'segmentation': [[0, 0, 9000, 9000] * 10_000]}, image)


def test_masks_that_some_or_all_annotations_lack(data):
    content = json.loads((data / 'annotations.json').read_text())
    path = data / 'masks.json'
    path.write_text(json.dumps(content))
    assert load_all(path, False, False)
    with pytest.raises(UserError, match='no masks'):
        load_all(path, True, False)
    for ann in content['annotations'][:3]:
        ann['segmentation'] = [[4, 4, 20, 4, 20, 20]]
    content['annotations'][0]['segmentation'].append([1, 1, 2, 2])
    path.write_text(json.dumps(content))
    _, samples = load_all(path, True, False)
    counts = [(len(s['data_samples'].gt_instances), len(s['data_samples'].ignored_instances))
              for s in samples]
    assert counts == [(2, 0), (1, 1), (0, 2), (0, 2)]
