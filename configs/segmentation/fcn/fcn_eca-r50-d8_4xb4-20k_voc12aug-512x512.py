_base_ = 'mmseg::fcn/fcn_r50-d8_4xb4-20k_voc12aug-512x512.py'

custom_imports = dict(imports=['eca_mm'], allow_failed_imports=False)
runner_type = 'CheckedRunner'
default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook'))
custom_hooks = [dict(type='StopOnInvalidLossHook'), dict(type='KeepWorkDirHook')]
model = dict(
    # The stock config's are a download; see ../README.md for weights.
    pretrained=None,
    # The same backbone, with ECA in every block.
    backbone=dict(
        # _delete_: the arguments of the stock backbone are those of the network inside.
        _delete_=True, type='WithAttention', network={{_base_.model.backbone}},
        attention=dict(type='ECALayer')))
