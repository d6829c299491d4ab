# Section 4.1, detection: SGD, momentum 0.9, weight decay 1e-4, batch 8, 12 epochs, learning rate
# 0.01 divided by 10 after epochs 8 and 11. mmdet's linear warm-up of 500 iterations stays.
_base_ = './coco_bs16_1x.py'

optim_wrapper = dict(optimizer=dict(lr=0.01))
auto_scale_lr = dict(enable=False, base_batch_size=8)
