# Bicubic ImageNet with two other numbers: the crop, and the short side for testing.
_base_ = './imagenet_bs32_bicubic.py'

train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = 256
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 292
test_pipeline[2].crop_size = 256
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
