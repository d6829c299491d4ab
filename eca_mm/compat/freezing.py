"""Where mmdet freezes stages, and where mmengine's Runner wraps models and saves checkpoints."""
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from mmengine.runner import Runner
from torch import nn


def spare_in_mmdet_resnet(around: Callable[[nn.Module], AbstractContextManager]) -> None:
    """Have mmdet's ResNets freeze their stages within a context.

    ``_freeze_stages`` freezes whole stages, plugins included, whether any weights were loaded into
    them or not, and does it again in every ``train()``. (mmdet 3.x, onedl-mmdetection 3.x)

    Args:
        around (Callable): Called with the network; returns the context.
    """
    from mmdet.models.backbones.resnet import ResNet
    freeze = ResNet._freeze_stages

    @functools.wraps(freeze)
    def freeze_stages(self: nn.Module) -> None:
        with around(self):
            freeze(self)

    ResNet._freeze_stages = freeze_stages


def call_before_wrapping(function: Callable[[Runner, nn.Module], None]) -> None:
    """Have mmengine's Runner call a function before it wraps its model.

    What is trained must be known by then: DistributedDataParallel does not synchronise parameters
    that are unfrozen later, and waits for those that are frozen later. No hook of mmengine runs
    that early. (mmengine 0.10, onedl-mmengine 0.10)

    Args:
        function (Callable): Called with the runner and the model.
    """
    wrap = Runner.wrap_model

    @functools.wraps(wrap)
    def wrap_model(self: Runner, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        function(self, model)
        return wrap(self, model_wrapper_cfg, model)

    Runner.wrap_model = wrap_model


def add_checkpoint_meta(function: Callable[[Runner], dict]) -> None:
    """Have mmengine's Runner add to the meta of the checkpoints that it saves.

    A hook would have to stand in every config. (mmengine 0.10, onedl-mmengine 0.10)

    Args:
        function (Callable): Called with the runner; returns what is added.
    """
    save = Runner.save_checkpoint

    @functools.wraps(save)
    def save_checkpoint(self: Runner, out_dir: str, filename: str,
                        file_client_args: dict | None = None, save_optimizer: bool = True,
                        save_param_scheduler: bool = True, meta: dict | None = None,
                        *args: Any, **kwargs: Any) -> None:
        if meta is None or isinstance(meta, dict):
            meta = {**(meta or {}), **function(self)}
        save(self, out_dir, filename, file_client_args, save_optimizer, save_param_scheduler,
             meta, *args, **kwargs)

    Runner.save_checkpoint = save_checkpoint
