# The same two streams under Faster R-CNN with its own pyramid, anchors and losses.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    '../_base_/models/resnet50_stream.py',
    '../_base_/datasets/dsec_events.py',
    '../_base_/schedules/events_bs8_12e.py',
    '../_base_/default_runtime_mmdet.py',
]

model = dict(
    data_preprocessor=dict(type='EventFramePreprocessor', frame_dropout=0.15),
    backbone=dict(
        _delete_=True,  # it takes none of the ResNet's arguments
        type='TwoStreamBackbone',
        frame=_base_.stream,
        event=dict(in_channels=5, **_base_.stream),
        fusion=dict(type='AttentionFusion', attention=dict(type='ECALayer'))),
    neck=dict(in_channels=[512, 1024, 2048, 4096]),
    roi_head=dict(bbox_head=dict(num_classes=3)))
