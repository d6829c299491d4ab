_base_ = '../resnext/resnext101-32x4d_4xb64_in1k.py'

# ECAResNetD has the grouped convolutions; without its stem and its shortcuts it is a ResNeXt.
model = dict(
    backbone=dict(
        type='ECAResNetD', kernel_size='adaptive', deep_stem=False, avg_down=False))
