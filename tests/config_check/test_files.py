"""Data that are missing or cannot be used."""
import pytest

from eca_mm.config_check import check_config, evaluators, files
from tests.support import samples
from tests.support.config_checks import changed, find, run


def test_missing_data(detector, classifier, root):
    train, images = 'train_dataloader.dataset', root / 'coco' / 'images'
    for changes, where in (
            ({f'{train}.data_root': 'nowhere'}, f'{train}.data_root'),
            ({f'{train}.ann_file': 'train.json'}, f'{train}.ann_file'),
            ({f'{train}.data_prefix.img': 'train/'}, f'{train}.data_prefix.img'),
            ({'test_dataloader.dataset.ann_file': 'test.json'},
             'test_dataloader.dataset.ann_file')):
        assert [(f.level, f.check, f.where) for f in run(files, changed(detector, changes))] == [
            ('error', 'data', where)], changes
    for split in ('val', 'test'):
        where = f'{split}_evaluator.ann_file'
        finding, = run(evaluators, changed(detector, {where: 'absent.json'}))
        assert (finding.level, finding.check, finding.where) == ('error', 'data', where)
    # What is missing is not built to say it again.
    assert find(changed(detector, {f'{train}.data_root': 'nowhere'})) == [
        ('error', 'data', f'{train}.data_root')]
    assert find(changed(classifier, {f'{train}.data_prefix': 'train'})) == [
        ('error', 'data', f'{train}.data_prefix.img_path')]
    (images / '002.jpg').rename(images / 'gone')
    try:
        findings = check_config(detector)
    finally:
        (images / 'gone').rename(images / '002.jpg')
    assert {f.where for f in findings} == {
        'train_dataloader.dataset.data_prefix.img', 'val_dataloader.dataset.data_prefix.img'}
    assert all('1 of 4' in f.message and '002.jpg' in f.message for f in findings)


def test_unusable_annotations(detector, classifier, root):
    where = 'train_dataloader.dataset.ann_file'
    (root / 'coco' / 'cut.json').write_text('{"images": [')
    finding, = check_config(changed(detector, {where: 'cut.json'}))
    assert (finding.check, finding.where) == ('data', where)
    assert 'not valid JSON' in finding.message
    (root / 'classes' / 'labels.txt').write_text('red/0.png 0\ngreen/0.png 3\n')
    changes = {where: 'labels.txt', 'train_dataloader.dataset.metainfo.classes': samples.CLASSES}
    finding, = check_config(changed(classifier, changes))
    assert (finding.check, finding.where) == ('data', where)
    assert 'line 2' in finding.message


@pytest.mark.parametrize('line', ['green/0.png', 'green/my photo.png', 'green/0.png -1',
                                  'green/0.png green', 'green/0.png 1.0', 'green/0.png 3'])
def test_a_line_without_a_label(classifier, root, line):
    where = 'train_dataloader.dataset.ann_file'
    (root / 'classes' / 'lines.txt').write_text(f'red/0.png 0\n{line}\n')
    named = {where: 'lines.txt', 'train_dataloader.dataset.metainfo.classes': samples.CLASSES}
    finding, = run(files, changed(classifier, named))
    assert (finding.level, finding.where) == ('error', where)
    assert f'line 2 of {root}/classes/lines.txt has no label below 3' in finding.message
    assert repr(line) in finding.message


def test_lines_with_labels(classifier, root):
    (root / 'classes' / 'lines.txt').write_text('red/0.png 0\nmy green/0.png 2\n')
    changes = {'train_dataloader.dataset.ann_file': 'lines.txt',
               'train_dataloader.dataset.metainfo.classes': samples.CLASSES}
    assert run(files, changed(classifier, changes)) == []
    # Without names nobody knows how many there may be.
    del changes['train_dataloader.dataset.metainfo.classes']
    assert run(files, changed(classifier, changes)) == []
