"""Evaluators that do not fit."""
from eca_mm.config_check import evaluators
from tests.support.config_checks import changed, find, run


def test_evaluators_that_do_not_fit(detector, classifier, root):
    (root / 'coco' / 'copy.json').write_text((root / 'coco/annotations.json').read_text())
    for changes, level, where in (
            ({'val_evaluator': dict(_delete_=True, type='mmpretrain.Accuracy')}, 'error',
             'val_evaluator.type'),
            ({'val_evaluator.ann_file': str(root / 'coco/copy.json')}, 'error',
             'val_evaluator.ann_file'),
            ({'val_evaluator.metric': 'bbox'}, 'warning', 'val_evaluator.metric'),
            ({'train_dataloader.dataset.pipeline.2.with_mask': False}, 'error',
             'train_dataloader.dataset.pipeline.2')):
        finding, = run(evaluators, changed(detector, changes))
        assert (finding.level, finding.where) == (level, where)
    assert find(changed(detector, {'model.roi_head.mask_head': None})) == [
        ('error', 'evaluator', 'val_evaluator.metric')]
    finding, = run(evaluators, changed(classifier, {'val_evaluator.topk': (1, 5)}))
    assert (finding.where, finding.expected) == ('val_evaluator.topk', 'topk=(1, )')
    assert find(changed(classifier, {'val_evaluator': dict(
        _delete_=True, type='mmdet.CocoMetric')})) == [
            ('error', 'evaluator', 'val_evaluator.type')]


def test_a_part_of_the_images_needs_a_metric_that_counts_it(detector):
    part = {'val_dataloader.dataset.indices': 2}
    assert find(changed(detector, part)) == []
    finding, = run(evaluators, changed(detector, {**part, 'val_evaluator.type': 'CocoMetric'}))
    assert (finding.level, finding.where) == ('error', 'val_evaluator.type')


def test_boxes_of_voc_may_be_evaluated_as_coco_does(detector, tmp_path):
    config = changed(detector, {'val_evaluator.ann_file': None})
    config.val_dataloader.dataset = dict(
        type='VOCDataset', data_root=str(tmp_path), ann_file='val.txt', test_mode=True,
        data_prefix=dict(sub_data_root='VOC2007/'), metainfo=detector.train_dataloader.dataset.
        metainfo, pipeline=detector.val_dataloader.dataset.pipeline)
    assert run(evaluators, config) == []
