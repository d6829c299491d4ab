_base_ = [
    '../_base_/datasets/imagenet_bs32_bicubic_256_of_292.py',
    '../_base_/schedules/imagenet_bs256_100e.py',
    '../_base_/default_runtime_mmpretrain.py',
]

model = dict(
    type='ImageClassifier',
    backbone=dict(type='TIMMBackbone', model_name='eca_resnext26ts'),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=2048,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
        topk=(1, 5)))

# timm tests these on the central 90% at 256 x 256.
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 284
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
