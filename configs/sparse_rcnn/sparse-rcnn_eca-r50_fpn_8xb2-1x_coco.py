_base_ = 'mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py'

# The kernel sizes of the authors' ImageNet checkpoint.
model = dict(
    backbone=dict(
        type='ECAResNet',
        kernel_size=(3, 5, 5, 7),
        init_cfg=dict(checkpoint='checkpoints/eca-resnet50-k3557.pth', prefix='backbone.')))

# What the stock config does not name: our runtime, the loop that can be resumed exactly, and the
# data set that checks its annotations.
custom_imports = dict(imports=['eca_mm'], allow_failed_imports=False)
runner_type = 'CheckedRunner'
default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook'))
custom_hooks = [dict(type='StopOnInvalidLossHook'), dict(type='KeepWorkDirHook')]
train_cfg = dict(type='RepeatableEpochLoop')
train_pipeline = [dict(type='SeedSample'), *_base_.train_pipeline]
train_dataloader = dict(
    batch_sampler=dict(
        type='SeededBatchSampler', batch_sampler=dict(type='AspectRatioBatchSampler')),
    dataset=dict(type='CheckedCocoDataset', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(type='CheckedCocoDataset'))
test_dataloader = val_dataloader
val_evaluator = dict(type='CheckedCocoMetric')
test_evaluator = val_evaluator
