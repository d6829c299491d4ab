"""Where in a training iteration the first NaN or infinite number comes from."""
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from torch import Tensor, nn


def find_first_invalid(model: nn.Module, batch: Any, optim_wrapper: Any) -> str:
    """Say what of an iteration is not finite first: images, annotations, weights or a layer.

    To find the layer the batch goes through the network once more.

    Args:
        model (nn.Module): mmengine's model (or its wrapper), with its weights before the step.
        batch: The batch as the data loader gave it.
        optim_wrapper (OptimWrapper): Knows the precision that the model runs in.

    Returns:
        str: A clause; empty where all is finite.
    """
    model = model.module if is_model_wrapper(model) else model
    for index, (images, samples) in enumerate(_samples(batch)):
        for what, part in (('pixels', images), ('annotations', samples)):
            if not all(map(_finite, _tensors(part))):
                return f'the {what} of {name_image(samples) or f"image {index} of the batch"}'
    for name, value in model.named_parameters():
        if not _finite(value):
            return f'the weight {name}'
    return _first_layer(model, batch, optim_wrapper)


def name_images(batch: Any) -> str:
    """Name the images of a batch by id and path, as far as its data samples know them."""
    return ', '.join(filter(None, (name_image(sample) for _, sample in _samples(batch))))


def name_image(sample: Any) -> str:
    """Name the image of a data sample by id and path, as far as it knows them."""
    meta = getattr(sample, 'metainfo', {})
    parts = [f'id {meta["img_id"]}' if 'img_id' in meta else '', meta.get('img_path') or '']
    return ' '.join(filter(None, parts))


def _first_layer(model: nn.Module, batch: Any, optim_wrapper: Any) -> str:
    names = {module: name for name, module in model.named_modules()}
    found: list[str] = []

    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        if not found and not all(map(_finite, _tensors(output))):
            found.append(f'the output of layer {names[module]} ({type(module).__name__})')

    # Containers come after their layers, which have then been found already.
    hooks = [module.register_forward_hook(look) for module in names if module is not model]
    try:
        with torch.no_grad(), optim_wrapper.optim_context(model):
            model._run_forward(model.data_preprocessor(batch, True), mode='loss')
    except Exception as error:
        # NaN boxes, say, end in an assertion somewhere behind.
        return found[0] if found else f'a loss that fails on the second pass ({error})'
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ''


def _samples(batch: Any) -> Iterator[tuple]:
    """Pairs of an image's tensor and its data sample, whatever the collate function makes."""
    if isinstance(batch, dict) and {'inputs', 'data_samples'} <= batch.keys():
        yield from zip(batch['inputs'], batch['data_samples'], strict=False)


def _tensors(node: Any) -> Iterator[Tensor]:
    if isinstance(node, Tensor):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _tensors(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _tensors(value)
    elif hasattr(node, 'all_items'):
        # mmengine's data elements: BaseDataElement and InstanceData.
        yield from _tensors([value for _, value in node.all_items()])
    elif isinstance(getattr(node, 'tensor', None), Tensor):
        # mmdet's boxes.
        yield node.tensor


def _finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())
