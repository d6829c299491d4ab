_base_ = './densenet161_4xb64_in1k.py'

model = dict(
    backbone=dict(arch=dict(
        _delete_=True,  # the name '161' of a known architecture cannot be merged with a dict
        growth_rate=32,
        depths=[6, 12, 64, 48],
        init_channels=64)),
    head=dict(in_channels=2688))
