# Two ResNet-50s, fused at C2 to C5; P2 to P6 with P6 from C5, anchors and losses as published by
# FRN (ECCV 2024). That averages the box loss over the four coordinates, MMDetection adds them up.
_base_ = ['mmdet::_base_/models/retinanet_r50_fpn.py', './resnet50_stream.py']

model = dict(
    data_preprocessor=dict(
        _delete_=True,  # written out: nothing is left to what MMDetection sets
        type='EventFramePreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        frame_dropout=0.15,
        pad_size_divisor=32),
    backbone=dict(
        _delete_=True,  # it takes none of the ResNet's arguments
        type='TwoStreamBackbone',
        frame=_base_.stream,
        event=dict(in_channels=5, **_base_.stream),
        fusion=dict(type='AttentionFusion', attention=dict(type='ECALayer'))),
    neck=dict(in_channels=[512, 1024, 2048, 4096], start_level=0),
    bbox_head=dict(
        num_classes=3,
        anchor_generator=dict(strides=[4, 8, 16, 32, 64], center_offset=0.5),
        bbox_coder=dict(target_stds=[0.1, 0.1, 0.2, 0.2]),
        # _delete_: the base's L1 loss has other arguments
        loss_bbox=dict(_delete_=True, type='SmoothL1Loss', beta=1 / 9, loss_weight=0.25)),
    train_cfg=dict(assigner=dict(match_low_quality=False)))
