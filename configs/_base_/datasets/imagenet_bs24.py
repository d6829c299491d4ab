_base_ = 'mmpretrain::_base_/datasets/imagenet_bs64_pil_resize.py'

train_dataloader = dict(batch_size=24)
