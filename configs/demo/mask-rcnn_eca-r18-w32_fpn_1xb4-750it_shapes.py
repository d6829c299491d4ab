# A Mask R-CNN that learns drawn shapes from scratch, in minutes on two CPU cores.
# tools/demo_shapes.py makes the data (tools/dataset_tools/make_shapes_coco.py) and runs it.
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    '../_base_/default_runtime_mmdet.py',
]

# Everything is as narrow as the drawn shapes allow: on a CPU iterations count, and this makes them
# three times as cheap. All shapes are 40 to 130 pixels wide and about as high, so neither the
# finest level nor oblong anchors are of use. Residual branches that start at zero, and heads
# without normalisation, would need far more iterations.
norm_cfg = dict(type='GN', num_groups=8)
levels = dict(featmap_strides=[8, 16, 32], out_channels=64, finest_scale=40)
model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[60.] * 3),
    backbone=dict(
        type='ECAResNet',
        depth=18,
        stem_channels=32,
        base_channels=32,
        kernel_size='adaptive',
        out_indices=(1, 2, 3),
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=None,
        zero_init_residual=False),
    neck=dict(in_channels=[64, 128, 256], out_channels=64, num_outs=3, norm_cfg=norm_cfg),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        anchor_generator=dict(strides=[8, 16, 32], scales=[4, 5.6], ratios=[1.])),
    roi_head=dict(
        bbox_roi_extractor=levels,
        bbox_head=dict(
            type='ConvFCBBoxHead',
            num_shared_convs=2,
            num_shared_fcs=1,
            in_channels=64,
            conv_out_channels=64,
            fc_out_channels=256,
            norm_cfg=norm_cfg,
            reg_class_agnostic=True,
            num_classes=3),
        mask_roi_extractor=levels,
        mask_head=dict(
            num_convs=2,
            in_channels=64,
            conv_out_channels=64,
            norm_cfg=norm_cfg,
            class_agnostic=True,
            num_classes=3)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=200, max_per_img=60),
        rcnn=dict(sampler=dict(num=32, pos_fraction=0.5))),
    test_cfg=dict(
        rpn=dict(nms_pre=200, max_per_img=60),
        # No two shapes cover each other, so one place has one shape whatever its class.
        rcnn=dict(max_per_img=20, nms=dict(class_agnostic=True))))

data_root = 'data/shapes/'
metainfo = dict(classes=('circle', 'square', 'triangle'))
load = [
    dict(type='LoadImage'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(256, 256), keep_ratio=True),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=dict(type='SeededBatchSampler'),
    dataset=dict(
        type='CheckedCocoDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        pipeline=[
            dict(type='SeedSample'),
            *load,
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ]))
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CheckedCocoDataset',
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=[
            load[0],
            load[2],
            load[1],
            dict(
                type='PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
        ]))
test_evaluator = dict(
    type='CheckedCocoMetric',
    ann_file=data_root + 'annotations/instances_val.json',
    metric=['bbox', 'segm'])

train_cfg = dict(type='RepeatableIterLoop', max_iters=750)
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=750, eta_min=1e-5),
]
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=1))
log_processor = dict(by_epoch=False, window_size=10)
randomness = dict(seed=0)
