# PKU-DDD17-Car, from tools/dataset_tools/ddd17_to_coco.py. It has no validation split, so the test
# split is evaluated during training, too; at the end also by day and by night.
_base_ = './dsec_events.py'

data_root = 'data/PKU-DDD17-Car/'
metainfo = dict(classes=('car', ))
train_dataloader = dict(
    dataset=dict(
        data_root=data_root, metainfo=metainfo, ann_file='annotations/ddd17_train.json'))
val_dataloader = dict(
    dataset=dict(data_root=data_root, metainfo=metainfo, ann_file='annotations/ddd17_test.json'))
test_dataloader = val_dataloader
val_file = data_root + 'annotations/ddd17_test.json'
test_file = val_file
val_evaluator = [
    dict(type='CheckedCocoMetric', ann_file=val_file, metric='bbox'),
    dict(type='EventDetectionMetric', ann_file=val_file),
]
test_evaluator = [
    val_evaluator[0],
    dict(
        type='EventDetectionMetric',
        ann_file=test_file,
        parts=dict(
            day=data_root + 'annotations/ddd17_day.txt',
            night=data_root + 'annotations/ddd17_night.txt')),
]
