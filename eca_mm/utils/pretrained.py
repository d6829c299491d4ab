"""Weights that ``init_cfg`` names, read as mmengine reads them."""
import re
from collections.abc import Mapping
from typing import Any

from mmengine.model.weight_init import PretrainedInit
from torch import Tensor

_NAMES = ('Pretrained', 'mmengine.Pretrained',
          f'{PretrainedInit.__module__}.{PretrainedInit.__qualname__}')


def pretrained_configs(init_cfg: Any) -> list[dict]:
    """Find the entries of an ``init_cfg`` that load weights.

    Args:
        init_cfg (dict | list[dict] | None): As a module of mmengine takes it. The type may be a
            name or, in configs of mmengine's new style, the class.

    Returns:
        list[dict]: Those of the type ``Pretrained``, in their order.
    """
    configs = [init_cfg] if isinstance(init_cfg, dict) else init_cfg or ()
    return [cfg for cfg in configs if isinstance(cfg, dict)
            and (cfg.get('type') is PretrainedInit or cfg.get('type') in _NAMES)]


def weights_as_loaded(checkpoint: Mapping, prefix: str | None = None) -> dict[str, Tensor]:
    """Name the weights of a checkpoint as mmengine does when it loads them.

    Args:
        checkpoint (Mapping): A state dict, or a dict that holds one under ``'state_dict'``.
        prefix (str, optional): The part of the weights that is loaded, with or without its dot.

    Returns:
        dict[str, Tensor]: With a prefix, what begins with it, without it. Otherwise all weights,
        without the ``module.`` of a model that was saved inside its DDP wrapper.
    """
    weights = {str(name): value for name, value in checkpoint.get('state_dict', checkpoint).items()}
    if not prefix:
        return {re.sub(r'^module\.', '', name): value for name, value in weights.items()}
    prefix = prefix if prefix.endswith('.') else f'{prefix}.'
    return {name[len(prefix):]: value for name, value in weights.items()
            if name.startswith(prefix)}
