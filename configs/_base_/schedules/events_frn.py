# The schedule of FRN's code as far as it is known; its plateau is that of the training loss. The
# number of epochs and the batch differ between the data sets.
_base_ = './events_bs8_12e.py'

optim_wrapper = dict(
    _delete_=True,  # the base's optimiser has other arguments
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-4),
    clip_grad=dict(max_norm=0.1),
    accumulative_counts=2)
param_scheduler = [dict(
    type='ReduceOnPlateauLR', monitor='events/mAP', rule='greater', patience=3,
    factor=0.1, by_epoch=True)]
