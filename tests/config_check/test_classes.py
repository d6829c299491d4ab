"""Numbers and names of classes."""
import copy

from eca_mm.config_check import check_config, classes
from tests.support.config_checks import changed, find, run


def test_numbers_of_classes(detector, classifier):
    where = 'model.roi_head.mask_head.num_classes'
    finding, = check_config(changed(detector, {where: 80}))
    assert (finding.level, finding.check, finding.where, finding.expected) == (
        'error', 'classes', where, 'num_classes=3')
    heads = [copy.deepcopy(detector.model.roi_head.bbox_head) for _ in range(2)]
    heads[1].num_classes = 4
    finding, = run(classes, changed(detector, {'model.roi_head.bbox_head': heads}))
    assert finding.where == 'model.roi_head.bbox_head.1.num_classes'
    # Proposals are of one class, whatever the data's are.
    assert run(classes, changed(detector, {'model.rpn_head.num_classes': 1})) == []
    # What the config leaves to mmdet is 80.
    config = copy.deepcopy(detector)
    del config.model.roi_head.bbox_head.num_classes
    assert find(config) == [('error', 'classes', 'model.roi_head.bbox_head.num_classes')]
    assert find(changed(classifier, {'model.head.num_classes': 1000})) == [
        ('error', 'classes', 'model.head.num_classes')]
    number = {'data_preprocessor.num_classes': 4}
    assert find(changed(classifier, number)) == []
    mixup = dict(augments=dict(type='Mixup', alpha=0.2))
    assert find(changed(classifier, {**number, 'model.train_cfg': mixup})) == [
        ('error', 'classes', 'data_preprocessor.num_classes')]


def test_names_of_classes(detector, classifier, root):
    def named(*classes):
        config = copy.deepcopy(detector)
        for split in ('train', 'val', 'test'):
            config[f'{split}_dataloader'].dataset.metainfo = dict(classes=classes)
        return config

    places = [f'{split}_dataloader.dataset.metainfo.classes' for split in ('train', 'val')]
    found = check_config(named('red', 'gren', 'blue'))
    assert [(f.level, f.where) for f in found] == [('error', place) for place in places]
    assert "no category 'gren'" in found[0].message
    # Any order will do where labels go by the names; mmdet's own go by the file.
    assert check_config(named('green', 'red', 'blue')) == []
    stock = {f'{split}_dataloader.dataset.type': 'CocoDataset' for split in ('train', 'val')}
    found = check_config(changed(named('green', 'red', 'blue'), stock))
    assert [(f.level, f.where) for f in found if f.check == 'classes'] == [
        ('error', place) for place in places]
    assert "'red', 'green', 'blue'" in found[0].expected
    # COCO's own 80 names, which apply where none are given.
    config = changed(detector, {'train_dataloader.dataset.metainfo': None})
    assert ('error', 'classes', places[0]) in find(config)
    config = changed(classifier, {'train_dataloader.dataset.metainfo': dict(classes=['a', 'b'])})
    assert ('error', 'classes', 'train_dataloader.dataset') in find(config)
    # One class less than there is, throughout.
    config = named('red', 'blue')
    config.model.roi_head.bbox_head.num_classes = config.model.roi_head.mask_head.num_classes = 2
    found = check_config(config)
    assert {(f.level, f.check) for f in found} == {('warning', 'classes')}
    assert "'green'" in found[0].message


def test_hidden_folders_are_not_classes(classifier, root):
    hidden = root / 'classes/.ipynb_checkpoints'
    hidden.mkdir()
    try:
        assert run(classes, classifier) == []
    finally:
        hidden.rmdir()
