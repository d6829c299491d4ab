# Section 4.1, ResNets: SGD, momentum 0.9, weight decay 1e-4, batch 256, 100 epochs, learning
# rate 0.1 divided by 10 every 30 epochs. That is mmpretrain's 100-epoch schedule, in a loop that
# can be resumed exactly.
_base_ = 'mmpretrain::_base_/schedules/imagenet_bs256.py'

# _delete_: mmengine takes either a loop's type or the base's by_epoch.
train_cfg = dict(_delete_=True, type='RepeatableEpochLoop', max_epochs=100, val_interval=1)
auto_scale_lr = dict(enable=False, base_batch_size=256)
