_base_ = 'mmdet::rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py'

# CSPNeXt's channel attention becomes ECA; everything else is the stock backbone.
model = dict(
    backbone=dict(
        _delete_=True,  # its arguments are those of the network inside
        type='WithAttention',
        attention=dict(type='ECALayer'),
        network=dict(
            _base_.model.backbone,
            init_cfg=dict(
                type='Pretrained', checkpoint='checkpoints/cspnext-tiny.pth', prefix='backbone.'))))

# What the stock config does not name: our runtime, the loop that can be resumed, and the data set
# that checks its annotations.
custom_imports = dict(imports=['eca_mm'], allow_failed_imports=False)
runner_type = 'CheckedRunner'
default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook'))
custom_hooks = [
    _base_.custom_hooks[0],
    dict(
        type='PipelineSwitchHook',
        switch_epoch=280,
        switch_pipeline=[dict(type='SeedSample'), *_base_.train_pipeline_stage2]),
    dict(type='StopOnInvalidLossHook'), dict(type='KeepWorkDirHook')]
train_cfg = dict(type='RepeatableEpochLoop')
train_dataloader = dict(
    # The stock config has none, which a dict can only replace.
    batch_sampler=dict(_delete_=True, type='SeededBatchSampler'),
    dataset=dict(
        type='CheckedCocoDataset',
        pipeline=[dict(type='SeedSample'), *_base_.train_pipeline]))
val_dataloader = dict(dataset=dict(type='CheckedCocoDataset'))
test_dataloader = val_dataloader
val_evaluator = dict(type='CheckedCocoMetric')
test_evaluator = val_evaluator
# What the learning rate is meant for; the stock config says 16.
auto_scale_lr = dict(base_batch_size=256)
