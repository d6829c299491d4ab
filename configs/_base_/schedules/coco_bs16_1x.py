# mmdet's schedule of 12 epochs for batches of 16 images, in a loop that can be resumed exactly.
_base_ = 'mmdet::_base_/schedules/schedule_1x.py'

train_cfg = dict(type='RepeatableEpochLoop')
