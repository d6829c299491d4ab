_base_ = [
    'mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
    '../_base_/checked_coco.py',
]

# The kernel sizes of the authors' ImageNet checkpoint.
model = dict(
    backbone=dict(
        type='ECAResNet',
        kernel_size=(3, 5, 5, 7),
        init_cfg=dict(checkpoint='checkpoints/eca-resnet50-k3557.pth', prefix='backbone.')))

# The rest is the same for all configs on a stock one: see checked_coco.py.
default_hooks = _base_.checked.default_hooks
train_cfg = _base_.checked.train_cfg
train_pipeline = [dict(type='SeedSample'), *_base_.train_pipeline]
train_dataloader = _base_.checked.train_dataloader
train_dataloader.dataset.pipeline = train_pipeline
val_dataloader = test_dataloader = _base_.checked.val_dataloader
val_evaluator = test_evaluator = _base_.checked.val_evaluator
