_base_ = './eca-resnet50d_8xb32_in1k.py'

# The channels that pruning has left, and the kernel sizes of the network before it.
model = dict(
    backbone=dict(
        kernel_size=(5, 5, 5, 7),
        channels=[
            [(47, 18, 19), (52, 22, 19), (64, 35, 19)],
            [(85, 37, 171), (107, 80, 171), (120, 85, 171), (125, 87, 171)],
            [(198, 126, 818), (255, 232, 818), (256, 233, 818), (253, 235, 818),
             (256, 225, 818), (256, 239, 818)],
            [(492, 237, 2022), (512, 500, 2022), (512, 490, 2022)],
        ]),
    head=dict(in_channels=2022))
