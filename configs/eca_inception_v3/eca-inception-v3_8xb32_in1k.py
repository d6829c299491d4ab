_base_ = 'mmpretrain::inception_v3/inception-v3_8xb32_in1k.py'

custom_imports = dict(imports=['eca_mm'], allow_failed_imports=False)
runner_type = 'CheckedRunner'
default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook'))
custom_hooks = [dict(type='StopOnInvalidLossHook'), dict(type='KeepWorkDirHook')]
train_cfg = dict(type='RepeatableEpochLoop')
train_pipeline = [dict(type='SeedSample'), *_base_.train_dataloader.dataset.pipeline]
train_dataloader = dict(
    batch_sampler=dict(type='SeededBatchSampler'), dataset=dict(pipeline=train_pipeline))
# The same network, with ECA in it.
model = dict(backbone=dict(
    # _delete_: the arguments of the stock backbone are those of the network inside.
    _delete_=True, type='WithAttention', network={{_base_.model.backbone}},
    attention=dict(type='ECALayer')))
