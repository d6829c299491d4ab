"""One small black image through the whole model."""
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmdet.models.detectors import BaseDetector
from mmdet.models.reid import BaseReID
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from mmpretrain.models import ImageClassifier
from mmpretrain.structures import DataSample
from torch import nn

from eca_mm.backbones.two_stream import input_channels
from eca_mm.datasets.pipelines import walk

from .context import ConfigContext, Finding

# Large enough for five levels of a pyramid, and what networks of a fixed size expect. What fails
# may need more: SSD for its last map, DINO for its 900 queries.
_SIZES = {'mmdet': (128, 512), 'mmpretrain': (224, 384)}


def try_forward(context: ConfigContext, model: nn.Module) -> Iterator[Finding]:
    """Run a model on one image without gradients.

    Args:
        context (ConfigContext): The config.
        model (nn.Module): Its model, as built.

    Yields:
        Finding: Where its parts do not fit together.
    """
    if not is_known(model):
        return
    found = None
    for size in _sizes(context):
        refusal = _try_size(context, model, size)
        if refusal is None:
            return
        # What fails elsewhere with a larger image failed by the size before.
        found = found if found is not None and found.where == refusal.where else refusal
    if found is not None:
        yield found


def _sizes(context: ConfigContext) -> list[int]:
    first = _SIZES.get(context.scope, ())
    # LeNet takes nothing but what its pipeline gives.
    given = {side for data in context.datasets for _, node in walk(data.cfg.get('pipeline') or [])
             for side in (node.get('scale'), node.get('crop_size')) if isinstance(side, int)}
    return [*first, *sorted(given - {*first})] if context.scope == 'mmpretrain' else list(first)


def _try_size(context: ConfigContext, model: nn.Module, size: int) -> Finding | None:
    entered: list[str] = []

    # What a hook returns would replace the layer's output.
    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        entered.pop()

    hooks = []
    for name, module in model.named_modules():
        if name:
            hooks.append(module.register_forward_pre_hook(
                lambda module, inputs, name=name: entered.append(name)))
            hooks.append(module.register_forward_hook(leave))
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            _run(context, model, size)
    except NotImplementedError:
        # An operation that this machine lacks (no compiled mmcv) says nothing about the config.
        pass
    except AttributeError as error:
        # Models that need more than an image, a text say, look for it in the sample.
        if 'DataSample' not in str(error):
            return _misfit(size, entered, error)
    except Exception as error:
        # The boxes of an untrained network may be inside out.
        if traceback.extract_tb(error.__traceback__)[-1].name != '_do_paste_mask':
            return _misfit(size, entered, error)
    finally:
        for hook in hooks:
            hook.remove()
        model.train(training)
    return None


def is_known(model: nn.Module) -> bool:
    """Whether the model takes images and nothing else, prepared in the stock way."""
    preprocessor = type(getattr(model, 'data_preprocessor', None)).__module__
    return isinstance(model, BaseDetector | ImageClassifier) and not isinstance(
        model, BaseReID) and preprocessor.startswith(
        ('mmdet.', 'mmpretrain.'))


def _misfit(size: int, entered: list[str], error: Exception) -> Finding:
    inside = entered[-1] if entered else ''
    part = inside.partition('.')[0]
    return Finding(
        'error', 'model', f'model.{part}' if part else 'model',
        f'a {size} x {size} image cannot go through the model, it fails '
        + (f'in {inside}: ' if inside else '') + describe(error),
        'parts whose channels and numbers of inputs fit together')


def describe(error: Exception) -> str:
    """Describe an error without a message of its own, with its line of code if that says little.

    Args:
        error (Exception): What another package raised.

    Returns:
        str: Its kind, its text, and the assertion that failed.
    """
    text = f'{type(error).__name__}: {" ".join(str(error).split())[:300]}'
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, AssertionError | NotImplementedError) and frames:
        text += f' ({Path(frames[-1].filename).name}: {frames[-1].line})'
    return text


def _run(context: ConfigContext, model: nn.Module, size: int) -> Any:
    # Not the backbone's in_channels, which MobileNetV2 uses to count on while it is built.
    image = torch.zeros(input_channels(model), size, size, dtype=torch.uint8)
    if context.scope == 'mmdet':
        sample = DetDataSample(metainfo=dict(
            img_shape=(size, size), ori_shape=(size, size), scale_factor=(1., 1.), img_id=0,
            img_path='', pad_shape=(size, size), batch_input_shape=(size, size)))
        if not getattr(model, 'with_rpn', True):
            # Fast R-CNN's come with the data.
            sample.proposals = InstanceData(bboxes=torch.tensor([[0., 0, size, size]]))
        batch = model.data_preprocessor({'inputs': [image], 'data_samples': [sample]}, False)
        return model(**batch, mode='predict')
    if context.scope == 'mmpretrain':
        batch = model.data_preprocessor(
            {'inputs': image[None], 'data_samples': [DataSample()]}, False)
        return model(**batch, mode='tensor')
    return None
