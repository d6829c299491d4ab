"""Whether heads, data sets and metrics mean the same classes."""
import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

from mmcv.cnn import VGG
from mmdet.datasets import BaseDetDataset, CocoDataset, MOTChallengeDataset
from mmdet.evaluation import CocoMetric
from mmdet.models import RPN
from mmdet.models.dense_heads import RPNHead
from mmdet.models.roi_heads.mask_heads import FusedSemanticHead
from mmengine.fileio import get_local_path
from torch import nn

from eca_mm.utils.errors import UserError
from eca_mm.utils.listing import some

from .coco import CheckedCocoDataset
from .coco_index import check_names
from .coco_metric import CheckedCocoMetric


def leaves(dataset: Any) -> Iterator[Any]:
    """Take data sets out of their wrappers.

    Args:
        dataset (Any): A data set, or a wrapper such as RepeatDataset or ConcatDataset.

    Yields:
        Any: The data sets that read annotations.
    """
    inner = getattr(dataset, 'datasets', None) or getattr(dataset, 'dataset', None)
    if inner is None:
        yield dataset
    for part in inner if isinstance(inner, list | tuple) else [inner]:
        if part is not None:
            yield from leaves(part)


def class_names(dataset: Any) -> tuple[str, ...] | None:
    """Names of a data set's classes.

    Args:
        dataset (Any): A data set of mmengine's kind.

    Returns:
        tuple[str, ...] | None: In the order of the labels; None if it has no names of its own, or
        is MOTChallenge's.

    Raises:
        UserError: If they are one text, a name comes twice, or ``metainfo`` has another key that
            is meant for them, such as ``CLASSES`` of early versions.
    """
    if any(isinstance(leaf, MOTChallengeDataset) for leaf in leaves(dataset)):
        # It names all classes of the annotations, while trackers find pedestrians only.
        return None
    meta = getattr(dataset, 'metainfo', None) or {}
    if isinstance(meta, list | tuple):
        # mmdet's ConcatDataset keeps those of its parts where they differ.
        different = list(dict.fromkeys(tuple(part.get('classes') or ()) for part in meta))
        if len(different) > 1:
            raise UserError('Joined data sets name different classes: '
                            f'{" and ".join(map(_quoted, different))}, so one label would mean two '
                            'things; give them all the same metainfo=dict(classes=...).')
        meta = meta[0]
    strange = [key for key in meta if key != 'classes' and str(key).lower() in ('classes', 'class')]
    if strange:
        raise UserError(f'metainfo has {strange[0]!r}, which nothing reads: write '
                        'metainfo=dict(classes=(...)).')
    names = meta.get('classes')
    if names is None:
        return None
    # Two of ImageNet's classes are cranes; its labels go by folders.
    check_names(names, any(isinstance(leaf, BaseDetDataset) for leaf in leaves(dataset)))
    return tuple(names)


def check_heads(model: nn.Module, dataset: Any) -> None:
    """Compare ``num_classes`` of every head with the data set that it is trained or tested on.

    Args:
        model (nn.Module): A classifier or detector.
        dataset (Any): Its data set.

    Raises:
        UserError: Naming the head, both numbers and the classes.
    """
    names = class_names(dataset)
    if names is None:
        _check_labels(model, dataset)
        return
    for where, number in head_numbers(model):
        if number not in {len(names), *panoptic_numbers(dataset)}:
            raise UserError(
                f'model.{where} has num_classes={number}, but the data set has {len(names)} '
                f'classes ({some(names)}); set model.{where}.num_classes={len(names)}.')


def _check_labels(model: nn.Module, dataset: Any) -> None:
    """Compare the heads with the labels of files that name no classes."""
    for leaf in leaves(dataset):
        largest = getattr(leaf, 'largest_label', None)
        for where, number in head_numbers(model):
            if largest is not None and largest >= number:
                raise UserError(
                    f'model.{where} has num_classes={number}, but {leaf.ann_file} has labels up to '
                    f'{largest}; set model.{where}.num_classes={largest + 1}, or correct the file.')


def head_numbers(model: nn.Module) -> Iterator[tuple[str, int]]:
    """Find the heads of a model that classify.

    Args:
        model (nn.Module): A classifier or detector.

    Yields:
        tuple[str, int]: Dotted name of the head, and its number of classes. Those of GLIP's kind
        compare with a text, and those of proposals have none of the data's.
    """
    if hasattr(model, 'language_model') or isinstance(model, RPN):
        return
    for name, module in model.named_modules():
        number = getattr(module, 'num_classes', None)
        keys = name.split('.')
        # Proposals and backbones of classifiers have no classes of the data.
        if (type(number) is int and name and 'rpn_head' not in keys and 'backbone' not in keys
                and 'data_preprocessor' not in keys and 'semantic_head' not in keys
                and not isinstance(module, VGG | FusedSemanticHead | RPNHead)):
            yield name, number


def panoptic_numbers(dataset: Any) -> set[int]:
    """Count things and stuff, whose numbers the heads of panoptic models have.

    Args:
        dataset (Any): A data set of mmengine's kind.

    Returns:
        set[int]: The two numbers; empty for data that are not panoptic.
    """
    meta = getattr(dataset, 'metainfo', None) or {}
    meta = meta[0] if isinstance(meta, list | tuple) else meta
    return {len(meta[key]) for key in ('thing_classes', 'stuff_classes') if meta.get(key)}


def check_splits(train: Any, other: Any, split: str) -> None:
    """Compare the classes of two splits: labels are positions in these lists.

    Args:
        train (Any): The data set that is trained on, or ``dict(classes=...)`` of a checkpoint.
        other (Any): The data set that is evaluated on.
        split (str): Name of the latter, for the message.

    Raises:
        UserError: With both lists.
    """
    first = tuple(train['classes']) if isinstance(train, dict) else class_names(train)
    second = class_names(other)
    if first is None or second is None or first == second:
        return
    source = 'the checkpoint was trained' if isinstance(train, dict) else 'training is'
    raise UserError(
        f'The classes of the {split} data are {_quoted(second)}, but {source} on '
        f'{_quoted(first)}, so labels would be compared with those of other classes; give all '
        "data sets the same metainfo=dict(classes=...) (for folders: the same folders, or "
        'that list).')


def check_metric(metric: Any, dataset: Any, where: str) -> None:
    """Refuse stock data sets and metrics of COCO where the config orders classes otherwise.

    mmdet numbers labels by the order of the annotation file and keeps the config's names.

    Args:
        metric (Any): The metric, or None to look at the data set alone.
        dataset (Any): The data set.
        where (str): Dotted key of the data set or metric in the config.

    Raises:
        UserError: With both orders and the types that go by the names.
    """
    for leaf in leaves(dataset):
        names = class_names(leaf)
        if not isinstance(leaf, CocoDataset) or names is None:
            continue
        # Others of mmdet's have files and rules of their own.
        if type(leaf).load_data_list is CocoDataset.load_data_list and (
                not isinstance(leaf, CheckedCocoDataset)):
            _check_order(_file_order(leaf), names, where, type(leaf).__name__)
        if isinstance(metric, CocoMetric) and metric._coco_api is not None and (
                not isinstance(metric, CheckedCocoMetric)):
            order = [category['name'] for category in metric._coco_api.dataset['categories']
                     if category['name'] in names]
            _check_order(order, names, where, type(metric).__name__)


def _file_order(dataset: CocoDataset) -> Sequence[str]:
    with (get_local_path(dataset.ann_file, backend_args=dataset.backend_args) as path,
          contextlib.redirect_stdout(io.StringIO())):
        index = dataset.COCOAPI(path)
    return [category['name'] for category in index.dataset['categories']
            if category['name'] in dataset.metainfo['classes']]


def _check_order(order: Sequence[str], names: Sequence[str], where: str, kind: str) -> None:
    if list(order) == list(names):
        return
    absent = [name for name in names if name not in order]
    reason = (f'has no category for the classes {some(absent)}' if absent else
              f'lists the categories as {_quoted(order)}, but the config names the classes '
              f'{_quoted(names)}')
    raise UserError(f'The annotation file of {where} {reason}; {kind} numbers labels by the file, '
                    "so predictions would get wrong names: use type='CheckedCocoDataset' of the "
                    "data sets and type='CheckedCocoMetric' of the evaluators, which number them "
                    'by the names, or give the classes in the order of the file.')


def _quoted(names: Sequence[str]) -> str:
    return f'({some(map(repr, names), 20)})'
