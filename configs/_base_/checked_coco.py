# What configs on a stock COCO config of MMDetection (`mmdet::atss/...`) add: our runtime, the loop
# that can be resumed exactly, and the data set and metric that check their annotations. mmengine
# refuses bases that set the same key, so what the stock config sets as well stands in `checked`.
custom_imports = dict(imports=['eca_mm'], allow_failed_imports=False)
runner_type = 'CheckedRunner'
custom_hooks = [dict(type='StopOnInvalidLossHook'), dict(type='KeepWorkDirHook')]
checked = dict(
    default_hooks=dict(checkpoint=dict(type='SafeCheckpointHook')),
    train_cfg=dict(type='RepeatableEpochLoop'),
    train_dataloader=dict(
        batch_sampler=dict(
            type='SeededBatchSampler', batch_sampler=dict(type='AspectRatioBatchSampler')),
        dataset=dict(type='CheckedCocoDataset')),
    val_dataloader=dict(dataset=dict(type='CheckedCocoDataset')),
    val_evaluator=dict(type='CheckedCocoMetric'))
