_base_ = 'mmdet::yolox/yolox_s_8xb8-300e_coco.py'

# The same backbone with ECA in its residual blocks; as in the stock config nothing is pretrained.
model = dict(
    backbone=dict(
        # _delete_: the arguments of the stock backbone are those of the network inside.
        _delete_=True, type='WithAttention', network={{_base_.model.backbone}},
        attention=dict(type='ECALayer')))

# What the stock config does not name: our runtime, the loop that can be resumed, and the data set
# that checks its annotations.
custom_imports = dict(imports=['eca_mm'], allow_failed_imports=False)
runner_type = 'CheckedRunner'
default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook'))
custom_hooks = [
    *_base_.custom_hooks, dict(type='StopOnInvalidLossHook'), dict(type='KeepWorkDirHook')]
train_cfg = dict(type='RepeatableEpochLoop')
# Mosaic and MixUp draw their other images after the seeding of the first.
train_dataloader = dict(
    batch_sampler=dict(type='SeededBatchSampler'),
    dataset=dict(
        pipeline=[dict(type='SeedSample'), *_base_.train_pipeline],
        dataset=dict(
            type='CheckedCocoDataset',
            pipeline=[
                dict(type='SeedSample'), *_base_.train_dataloader.dataset.dataset.pipeline])))
val_dataloader = dict(dataset=dict(type='CheckedCocoDataset'))
test_dataloader = val_dataloader
val_evaluator = dict(type='CheckedCocoMetric')
test_evaluator = val_evaluator
