# Runtime of the classification configs. A config that sets custom_imports or custom_hooks itself
# replaces these lists (mmengine does not join them): repeat the entries.
_base_ = 'mmpretrain::_base_/default_runtime.py'

custom_imports = dict(imports=['eca_mm'], allow_failed_imports=False)
custom_hooks = [dict(type='StopOnInvalidLossHook')]
