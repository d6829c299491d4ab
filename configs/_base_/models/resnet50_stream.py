# One of two streams: a ResNet-50 from ImageNet; an event stream's stem starts from the average
# over its channels.
stream = dict(
    type='AttentionResNet',
    depth=50,
    out_indices=(0, 1, 2, 3),
    frozen_stages=-1,
    norm_cfg=dict(type='BN', requires_grad=True),
    norm_eval=False,
    style='pytorch',
    init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'))
