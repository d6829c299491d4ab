_base_ = 'mmpretrain::resnet/resnet50_8xb256-rsb-a3-100e_in1k.py'

custom_imports = dict(imports=['eca_mm'], allow_failed_imports=False)
runner_type = 'CheckedRunner'
default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook'))
custom_hooks = [dict(type='StopOnInvalidLossHook'), dict(type='KeepWorkDirHook')]
train_cfg = dict(type='RepeatableEpochLoop')
train_pipeline = [dict(type='SeedSample'), *_base_.train_dataloader.dataset.pipeline]
train_dataloader = dict(
    batch_sampler=dict(type='SeededBatchSampler'), dataset=dict(pipeline=train_pipeline))
model = dict(backbone=dict(type='ECAResNet', kernel_size='adaptive'))
auto_scale_lr = dict(enable=False)
