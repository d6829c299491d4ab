"""Numbers of classes, of the heads and of the data."""
from collections.abc import Iterator

from mmdet.datasets import CocoDataset, MOTChallengeDataset
from mmengine.registry import MODELS

from eca_mm.datasets import CheckedCocoDataset
from eca_mm.datasets.class_checks import panoptic_numbers
from eca_mm.datasets.pipelines import walk
from eca_mm.utils.errors import UserError
from eca_mm.utils.signatures import arguments

from .context import ConfigContext, DataSet, Finding
from .files import folder_classes, is_local_file
from .lookup import find

_HEADS = ('bbox_head', 'mask_head', 'head')


def check(context: ConfigContext) -> Iterator[Finding]:
    """Compare the heads with the classes of the data sets, and these with the annotations.

    Args:
        context (ConfigContext): The config.

    Yields:
        Finding: Where they differ.
    """
    numbers: dict = {}
    panoptic: set[int] = set()
    for data in context.datasets:
        yield from _check_names(data, context)
        count = _count(data)
        panoptic |= panoptic_numbers(data.built)
        if count:
            numbers.setdefault(count, data.where)
    if len(numbers) > 1:
        (count, first), *others = numbers.items()
        for other, where in others:
            yield Finding('error', 'classes', where, f'{where} has {other} classes, but {first} '
                          f'has {count}', f'{count} classes')
    # Heads that compare with a text have no classes of the data.
    if not numbers or context.config.model.get('language_model'):
        return
    count, source = next(iter(numbers.items()))
    for where, found in _head_numbers(context):
        if found not in {count, *panoptic}:
            yield Finding('error', 'classes', where, f'num_classes is {found}, but {source} has '
                          f'{count} classes', f'num_classes={count}')


def _head_numbers(context: ConfigContext) -> Iterator[tuple[str, int]]:
    parts = [(context.config.model, 'model')]
    if 'data_preprocessor' not in context.config.model:
        parts.append((context.config.get('data_preprocessor'), 'data_preprocessor'))
    # Only mixed images (Mixup, say) need labels as vectors of that length.
    mixes = 'augments' in (context.config.model.get('train_cfg') or {})
    for where, node in (pair for part in parts for pair in walk(*part)):
        keys = where.split('.')
        number = node.get('num_classes')
        name = next(key for key in keys[::-1] if not key.isdigit())
        if number is None and name in _HEADS and 'type' in node:
            kind = find(node['type'], MODELS, node.get('_scope_') or context.scope)
            parameter = arguments(kind)[0].get('num_classes') if kind else None
            number = parameter.default if parameter is not None else None
        # Proposals have no classes: an RPN's one is "object".
        if isinstance(number, int) and 'rpn_head' not in keys and (
                any(key in keys for key in _HEADS)
                or ('data_preprocessor' in keys and (mixes or node.get('to_onehot')))):
            yield f'{where}.num_classes', number


def _count(data: DataSet) -> int | None:
    if isinstance(data.built, MOTChallengeDataset):
        # It names all classes of the annotations, while trackers find pedestrians only.
        return None
    if data.classes is not None:
        return len(data.classes)
    folders = folder_classes(data)
    return None if folders is None else len(folders)


def _check_names(data: DataSet, context: ConfigContext) -> Iterator[Finding]:
    if data.built is None or data.classes is None:
        return
    if isinstance(data.built, CocoDataset):
        if data.has_instances and is_local_file(data.built.ann_file):
            yield from _check_coco(data, context)
        return
    folders = folder_classes(data)
    if folders is not None and len(folders) != len(data.classes):
        yield Finding(
            'error', 'classes', data.where, f'the data set has {len(data.classes)} classes, but '
            f'{len(folders)} folders are in {data.built.data_prefix["img_path"]}',
            f'{len(data.classes)} folders, or metainfo=dict(classes=...) with {len(folders)} names')


def _check_coco(data: DataSet, context: ConfigContext) -> Iterator[Finding]:
    try:
        coco = context.coco(data.built.ann_file)
    except UserError:
        # The check of the files reports it.
        return
    where = f'{data.where}.metainfo.classes'
    classes = data.classes or ()
    listed = [category['name'] for category in coco.dataset['categories']]
    absent = [name for name in classes if name not in listed]
    if absent:
        yield Finding('error', 'classes', where, f'{data.built.ann_file} has no category '
                      f'{_some(absent)} ({len(absent)} of {len(classes)} classes), and '
                      'the labels behind one that is absent are wrong',
                      f'names among {_some(listed)}')
        return
    # Exports of some tools put the project's name before the classes, at id 0.
    used = {ann['category_id'] for ann in coco.dataset['annotations']}
    unused = [category['name'] for category in coco.dataset['categories']
              if category['name'] not in classes and category['id'] in used]
    if unused:
        yield Finding('warning', 'classes', where, f'{len(unused)} of {len(listed)} categories of '
                      f'{data.built.ann_file} are not classes here, so their objects are left out: '
                      f'{_some(unused)}',
                      f'{len(classes) + len(unused)} classes, unless that is meant')
    ordered = [name for name in listed if name in classes]
    if ordered != list(classes) and not isinstance(data.built, CheckedCocoDataset):
        yield Finding('error', 'classes', where, f'{data.built.ann_file} has the classes in '
                      f'another order, in which {type(data.built).__name__} numbers labels: '
                      'predictions would be given wrong names',
                      f"type='CheckedCocoDataset', or the order {_some(ordered)}")


def _some(names: list) -> str:
    return ', '.join(map(repr, names[:5])) + (', ...' if len(names) > 5 else '')
