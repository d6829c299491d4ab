# The training of FRN's code as far as it is known: from scratch, without flips.
_base_ = [
    '../_base_/models/retinanet_2xr50-eca_fpn_scratch.py',
    '../_base_/datasets/dsec_events.py',
    '../_base_/schedules/events_frn.py',
    '../_base_/default_runtime_mmdet.py',
]

# The published code applies the means of RGB to BGR images; so does this config.
model = dict(data_preprocessor=dict(bgr_to_rgb=False))
train_dataloader = dict(
    batch_size=1,
    dataset=dict(pipeline=[dict(type='SeedSample'), *_base_.load, dict(type='PackDetInputs')]))
train_cfg = dict(max_epochs=60)
auto_scale_lr = dict(base_batch_size=2)
