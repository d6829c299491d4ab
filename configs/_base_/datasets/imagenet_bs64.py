# ImageNet at 224 pixels, as mmpretrain has it, but with samples that are drawn and augmented alike
# in a run that is resumed.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs64_pil_resize.py'

train_pipeline = [dict(type='SeedSample'), *_base_.train_pipeline]
train_dataloader = dict(
    batch_sampler=dict(type='SeededBatchSampler'), dataset=dict(pipeline=train_pipeline))
