# Can it learn real images? Trains from scratch on 8 COCO images and tests on the same 8, no more
# than a check. docs/benchmarks.md has the commands and the result.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    '../_base_/default_runtime_mmdet.py',
]

norm_cfg = dict(type='GN', num_groups=8)
model = dict(
    backbone=dict(
        type='ECAResNet',
        depth=18,
        kernel_size='adaptive',
        frozen_stages=-1,
        norm_eval=False,
        init_cfg=None,
        zero_init_residual=False),
    neck=dict(in_channels=[64, 128, 256, 512], out_channels=128, norm_cfg=norm_cfg),
    rpn_head=dict(in_channels=128, feat_channels=128),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=128),
        bbox_head=dict(
            type='ConvFCBBoxHead',
            num_shared_convs=2,
            num_shared_fcs=1,
            in_channels=128,
            conv_out_channels=128,
            fc_out_channels=512,
            norm_cfg=norm_cfg)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=200), rcnn=dict(sampler=dict(num=128))),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=200)))

# 8 images of val2017 with several objects, most of them not small, by their COCO ids.
data = dict(
    type='CheckedCocoDataset',
    data_root='{{$ECA_MM_COCO_ROOT:data/coco}}',
    ann_file='annotations/instances_val2017.json',
    data_prefix=dict(img='val2017/'),
    image_ids=[252219, 403385, 458054, 331352, 502136, 184791, 289393, 143931])
load = [
    dict(type='LoadImage'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(320, 320), keep_ratio=True),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='InfiniteSampler'),
    batch_sampler=dict(type='SeededBatchSampler'),
    dataset=dict(
        **data,
        pipeline=[
            dict(type='SeedSample'),
            *load,
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackDetInputs'),
        ]))
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **data,
        pipeline=[
            load[0],
            load[2],
            load[1],
            dict(
                type='PackDetInputs',
                meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor',
                           'instances')),
        ]))
# Without an annotation file the evaluator takes the ground truth of the 8 images from the samples.
test_evaluator = dict(type='CheckedCocoMetric', metric='bbox')

train_cfg = dict(type='RepeatableIterLoop', max_iters=300)
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0),
    clip_grad=dict(max_norm=10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=20),
    dict(type='MultiStepLR', by_epoch=False, milestones=[230, 280], gamma=0.1),
]
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(by_epoch=False, interval=100, max_keep_ckpts=1))
log_processor = dict(by_epoch=False, window_size=10)
randomness = dict(seed=0)
