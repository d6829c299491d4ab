# A frame and an event stream that learn drawn, moving shapes from scratch, in minutes on a CPU.
# tools/demo_events.py draws the data and trains it, with a plain concatenation and each stream
# alone beside it.
_base_ = '../_base_/default_runtime_mmdet.py'

stream = dict(
    type='AttentionResNet',
    depth=18,
    stem_channels=16,
    base_channels=16,
    out_indices=(0, 1, 2, 3),
    zero_init_residual=False,
    norm_eval=False)
norm_cfg = dict(type='GN', num_groups=8)
model = dict(
    type='RetinaNet',
    data_preprocessor=dict(
        type='EventFramePreprocessor',
        mean=[80.] * 3,
        std=[60.] * 3,
        event_std=0.5,
        frame_dropout=0.15),
    backbone=dict(
        type='TwoStreamBackbone',
        frame=stream,
        event=dict(in_channels=5, **stream),
        fusion=dict(type='AttentionFusion', attention=dict(type='ECALayer'))),
    neck=dict(
        type='FPN',
        in_channels=[32, 64, 128, 256],
        out_channels=48,
        num_outs=4,
        norm_cfg=norm_cfg),
    bbox_head=dict(
        type='RetinaHead',
        num_classes=3,
        in_channels=48,
        stacked_convs=2,
        feat_channels=48,
        norm_cfg=norm_cfg,
        anchor_generator=dict(
            type='AnchorGenerator',
            octave_base_scale=5,
            scales_per_octave=3,
            ratios=[1.],
            strides=[4, 8, 16, 32]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_stds=[.1, .1, .2, .2]),
        loss_cls=dict(type='FocalLoss', use_sigmoid=True, gamma=2., alpha=.25),
        loss_bbox=dict(type='GIoULoss', loss_weight=2.),
        reg_decoded_bbox=True),
    train_cfg=dict(
        assigner=dict(type='MaxIoUAssigner', pos_iou_thr=.5, neg_iou_thr=.4, min_pos_iou=0,
                      ignore_iof_thr=-1),
        sampler=dict(type='PseudoSampler'),
        allowed_border=-1,
        pos_weight=-1),
    test_cfg=dict(
        nms_pre=200, min_bbox_size=0, score_thr=.05, nms=dict(type='nms', iou_threshold=.5),
        max_per_img=20))

data_root = 'data/event_scenes/'
metainfo = dict(classes=('circle', 'square', 'triangle'))
load = [
    dict(type='LoadImage'),
    dict(type='LoadEvents'),
    dict(type='EventsToVoxelGrid', bins=5, window_ms=50),
    dict(type='StackEvents'),
    dict(type='LoadAnnotations', with_bbox=True),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=dict(type='SeededBatchSampler'),
    dataset=dict(
        type='EventFrameDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/train.json',
        pipeline=[
            dict(type='SeedSample'),
            *load,
            dict(type='RandomFlip', prob=[.25, .25, .25],
                 direction=['horizontal', 'vertical', 'diagonal']),
            dict(type='PackDetInputs'),
        ]))
test_dataloader = dict(
    batch_size=16,
    num_workers=0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='EventFrameDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/test.json',
        test_mode=True,
        pipeline=[
            *load,
            dict(type='PackDetInputs',
                 meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
        ]))
test_evaluator = [
    dict(type='CheckedCocoMetric', ann_file=data_root + 'annotations/test.json', metric='bbox'),
    dict(type='EventDetectionMetric', ann_file=data_root + 'annotations/test.json'),
]

train_cfg = dict(type='RepeatableIterLoop', max_iters=300)
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=1e-3),
    clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=.1, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=20, end=300, T_max=280, eta_min=1e-5),
]
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(by_epoch=False, interval=300, max_keep_ckpts=1))
log_processor = dict(by_epoch=False, window_size=20)
randomness = dict(seed=0)
