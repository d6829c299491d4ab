# PKU-DDD17-Car: tools/dataset_tools/ddd17_to_coco.py. It has no validation split.
data_root = 'data/PKU-DDD17-Car/'
metainfo = dict(classes=('car', ))
load = [
    dict(type='LoadImage'),
    dict(type='LoadEvents'),
    dict(type='EventsToVoxelGrid', bins=5, window_ms=50),
    dict(type='StackEvents'),
    dict(type='LoadAnnotations', with_bbox=True),
]
test_pipeline = [
    *load,
    dict(type='PackDetInputs',
         meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='SeededBatchSampler'),
    dataset=dict(
        type='EventFrameDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/ddd17_train.json',
        pipeline=[
            dict(type='SeedSample'),
            *load,
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ]))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='EventFrameDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/ddd17_test.json',
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='EventFrameDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/ddd17_test.json',
        test_mode=True,
        pipeline=test_pipeline))
val_file = data_root + 'annotations/ddd17_test.json'
test_file = data_root + 'annotations/ddd17_test.json'
val_evaluator = [
    dict(type='CheckedCocoMetric', ann_file=val_file, metric='bbox'),
    dict(type='EventDetectionMetric', ann_file=val_file),
]
test_evaluator = [
    dict(type='CheckedCocoMetric', ann_file=test_file, metric='bbox'),
    dict(
        type='EventDetectionMetric',
        ann_file=test_file,
        parts=dict(
            day=data_root + 'annotations/ddd17_day.txt',
            night=data_root + 'annotations/ddd17_night.txt')),
]
