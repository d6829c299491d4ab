"""Which attentions in frozen stages a run trains (see :mod:`eca_mm.backbones.freezing`)."""
import functools
from collections.abc import Iterator

from mmengine.model import is_model_wrapper
from mmengine.runner import CheckpointLoader, Runner
from torch import Tensor, nn

from eca_mm.backbones.freezing import (
    contains,
    decide,
    frozen_attention,
    keep_unloaded_trainable,
    was_loaded,
)
from eca_mm.checkpoints.latest import latest_checkpoint
from eca_mm.compat import freezing
from eca_mm.utils.pretrained import pretrained_configs, weights_as_loaded

META = 'frozen_attention'


@functools.cache
def install() -> None:
    """Make mmdet's ResNets and every Runner freeze only what is loaded; can be called again."""
    freezing.spare_in_mmdet_resnet(keep_unloaded_trainable)
    freezing.call_before_wrapping(decide_before_wrapping)
    freezing.add_checkpoint_meta(checkpoint_meta)


def decide_before_wrapping(runner: Runner, model: nn.Module) -> None:
    """Freeze the attentions in frozen stages that a run's weights contain, and no others.

    A resumed run continues with what its checkpoint's meta records. Any other one looks at what
    it will load: ``load_from``, and beneath it the weights that ``init_cfg`` names.

    Args:
        runner (Runner): A runner that has its config but no hooks yet.
        model (nn.Module): Its model.
    """
    if is_model_wrapper(model) or runner._train_dataloader is None:
        return
    names = frozen_attention(model)
    if not names:
        return
    try:
        chosen = _chosen(runner, model, list(names))
    except Exception:
        # Weights that cannot be read are an error of the training, if there is one: the runner
        # is also built for a test, which does not load them.
        return
    decide(model, lambda name, layer: chosen[name])


def checkpoint_meta(runner: Runner) -> dict:
    """What the next start must know.

    Args:
        runner (Runner): A runner that saves a checkpoint.

    Returns:
        dict: By name whether an attention in a frozen stage is frozen; nothing without any.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    frozen = frozen_attention(model)
    return {META: frozen} if frozen else {}


def _chosen(runner: Runner, model: nn.Module, names: list[str]) -> dict[str, bool]:
    """Whether each of the attentions is frozen."""
    path = runner._load_from
    if runner._resume and path is None:
        path = latest_checkpoint(runner.work_dir)
    chosen = {name: was_loaded(model, name) for name in names}
    if path is not None:
        checkpoint = CheckpointLoader.load_checkpoint(path, 'cpu')
        recorded = (checkpoint.get('meta') or {}).get(META)
        if runner._resume and isinstance(recorded, dict):
            return {name: bool(recorded.get(name, True)) for name in names}
        weights = weights_as_loaded(checkpoint)
        for name in names:
            chosen[name] |= contains(weights, name, model.get_submodule(name))
    missing = [name for name in names if not chosen[name]]
    for prefix, weights in _pretrained(model, missing):
        for name in missing:
            if name.startswith(prefix):
                chosen[name] |= contains(weights, name[len(prefix):], model.get_submodule(name))
    return chosen


def _pretrained(model: nn.Module, names: list[str]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """What ``init_cfg`` loads into the parts of a model that hold any of the named layers."""
    for name, module in model.named_modules():
        prefix = f'{name}.' if name else ''
        if not any(n.startswith(prefix) for n in names):
            continue
        for cfg in pretrained_configs(getattr(module, 'init_cfg', None)):
            checkpoint = CheckpointLoader.load_checkpoint(cfg['checkpoint'], 'cpu')
            yield prefix, weights_as_loaded(checkpoint, cfg.get('prefix'))
