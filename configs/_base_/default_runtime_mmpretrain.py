# Runtime of the classification configs: runner and hooks; docs/reliability.md describes them. A
# config that sets custom_imports or custom_hooks itself replaces these lists (mmengine does not
# join them): repeat the entries.
_base_ = 'mmpretrain::_base_/default_runtime.py'

custom_imports = dict(imports=['eca_mm'], allow_failed_imports=False)
runner_type = 'CheckedRunner'
default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook'))
custom_hooks = [dict(type='StopOnInvalidLossHook'), dict(type='KeepWorkDirHook')]
