# The training of FRN's code as far as it is known: from scratch, without flips.
_base_ = [
    '../_base_/models/retinanet_2xr50-eca_fpn_scratch.py',
    '../_base_/datasets/ddd17_events.py',
    '../_base_/schedules/events_frn.py',
    '../_base_/default_runtime_mmdet.py',
]

model = dict(
    # 0.403 and 0.295 of the published code, times 255.
    data_preprocessor=dict(bgr_to_rgb=False, mean=[102.765] * 3, std=[75.225] * 3),
    bbox_head=dict(num_classes=1))
train_dataloader = dict(
    batch_size=4,
    dataset=dict(pipeline=[dict(type='SeedSample'), *_base_.load, dict(type='PackDetInputs')]))
train_cfg = dict(max_epochs=200)
auto_scale_lr = dict(base_batch_size=8)
