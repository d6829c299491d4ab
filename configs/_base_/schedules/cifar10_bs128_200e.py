# SGD, momentum 0.9, weight decay 1e-4, batch 128, 200 epochs, learning rate 0.1 divided by 10 after
# 100 and 150 of them: MMPretrain's schedule for CIFAR, in a loop that can be resumed exactly.
_base_ = 'mmpretrain::_base_/schedules/cifar10_bs128.py'

# _delete_: mmengine takes either a loop's type or the base's by_epoch.
train_cfg = dict(_delete_=True, type='RepeatableEpochLoop', max_epochs=200, val_interval=1)
auto_scale_lr = dict(enable=False, base_batch_size=128)
