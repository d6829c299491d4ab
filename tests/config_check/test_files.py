"""Data that are missing or cannot be used."""
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
