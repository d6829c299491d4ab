# DSEC-Detection: its eight classes, its labels (distorted view) and its split.
_base_ = './retinanet_2xr50-eca_fpn_dsec.py'

model = dict(bbox_head=dict(num_classes=8))
metainfo = dict(
    classes=('pedestrian', 'rider', 'car', 'bus', 'truck', 'bicycle', 'motorcycle', 'train'))
train_dataloader = dict(
    dataset=dict(metainfo=metainfo, ann_file='annotations/dsec-det_train.json'))
val_dataloader = dict(dataset=dict(metainfo=metainfo, ann_file='annotations/dsec-det_val.json'))
test_dataloader = dict(dataset=dict(metainfo=metainfo, ann_file='annotations/dsec-det_test.json'))
val_file = 'data/DSEC/annotations/dsec-det_val.json'
test_file = 'data/DSEC/annotations/dsec-det_test.json'
val_evaluator = [
    dict(type='CheckedCocoMetric', ann_file=val_file, metric='bbox'),
    dict(type='EventDetectionMetric', ann_file=val_file),
]
test_evaluator = [
    dict(type='CheckedCocoMetric', ann_file=test_file, metric='bbox'),
    dict(type='EventDetectionMetric', ann_file=test_file),
]
