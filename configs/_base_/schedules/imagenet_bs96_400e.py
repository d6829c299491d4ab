# Section 4.1, MobileNetV2: SGD, momentum 0.9, weight decay 4e-5, batch 96, 400 epochs, learning
# rate 0.045 times 0.98 every epoch.
_base_ = 'mmpretrain::_base_/schedules/imagenet_bs256_epochstep.py'

# _delete_: mmengine takes either a loop's type or the base's by_epoch.
train_cfg = dict(_delete_=True, type='RepeatableEpochLoop', max_epochs=400, val_interval=1)
auto_scale_lr = dict(enable=False, base_batch_size=96)
