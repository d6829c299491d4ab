_base_ = './eca-mobilenet-v2_4xb24_in1k.py'

# The authors' k=1,3: no neighbours where a block has fewer than 96 output channels.
model = dict(backbone=dict(kernel_size=(1, 1, 1, 1, 3, 3, 3)))
