# COCO 2017 with boxes and masks, short side 800, long side at most 1333, flip: as mmdet has it,
# but with annotations that are checked when they are read, labels that are numbered by the names of
# the classes, and samples that are drawn and augmented alike in a run that is resumed.
_base_ = 'mmdet::_base_/datasets/coco_instance.py'

dataset_type = 'CheckedCocoDataset'
train_pipeline = [dict(type='SeedSample'), *_base_.train_pipeline]
train_dataloader = dict(
    batch_sampler=dict(
        type='SeededBatchSampler', batch_sampler=dict(type='AspectRatioBatchSampler')),
    dataset=dict(type=dataset_type, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type=dataset_type))
test_dataloader = dict(dataset=dict(type=dataset_type))
val_evaluator = dict(type='CheckedCocoMetric')
test_evaluator = dict(type='CheckedCocoMetric')
