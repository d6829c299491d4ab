# COCO 2017 with boxes and masks, short side 800, long side at most 1333, flip: as mmdet has it,
# but with annotations that are checked when they are read, and labels that are numbered by the
# names of the classes, in the data set and in the metric.
_base_ = 'mmdet::_base_/datasets/coco_instance.py'

dataset_type = 'CheckedCocoDataset'
train_dataloader = dict(dataset=dict(type=dataset_type))
val_dataloader = dict(dataset=dict(type=dataset_type))
test_dataloader = dict(dataset=dict(type=dataset_type))
val_evaluator = dict(type='CheckedCocoMetric')
test_evaluator = dict(type='CheckedCocoMetric')
