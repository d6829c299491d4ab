"""From the types that a config names to their classes."""
import contextlib
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Any

import mmcv.ops
from mmengine import registry as registries
from mmengine.registry import Registry
from mmpretrain.registry import BATCH_AUGMENTS

# Every kind of thing that a config builds; a name that two kinds share is that of the first.
CONFIG_REGISTRIES = (
    registries.MODELS, registries.TASK_UTILS, registries.TRANSFORMS, registries.DATASETS,
    registries.DATA_SAMPLERS, registries.HOOKS, registries.METRICS, registries.EVALUATOR,
    registries.VISUALIZERS, registries.VISBACKENDS, registries.OPTIMIZERS,
    registries.OPTIM_WRAPPERS, registries.PARAM_SCHEDULERS, registries.WEIGHT_INITIALIZERS,
    registries.LOOPS, registries.LOG_PROCESSORS, registries.FUNCTIONS, BATCH_AUGMENTS)


def find(kind: Any, registry: Registry | None, scope: str) -> Any:
    """Find what a config's ``type`` stands for.

    Args:
        kind (str | type): The type.
        registry (Registry, optional): Root registry to look in; None for all of them.
        scope (str): Library whose registries come first.

    Returns:
        Callable | None: The class or function; None if there is none of that name.
    """
    if kind is None or callable(kind):
        return kind
    for root in (registry, ) if registry is not None else CONFIG_REGISTRIES:
        with _of_scope(root, scope) as child:
            found = child.get(kind)
        if found is not None:
            return found
    # RoI layers and NMS are named, but not registered.
    return None if registry is not None else getattr(mmcv.ops, kind, None)


def names(registry: Registry | None, scope: str) -> set[str]:
    """All names that :func:`find` knows, of a registry or of all of them."""
    found = set()
    for root in (registry, ) if registry is not None else CONFIG_REGISTRIES:
        with _of_scope(root, scope) as child:
            while child is not None:
                found.update(child.module_dict)
                child = child.parent
    return found


@cache
def is_defined(kind: str, package: str) -> bool:
    """Look for a class in the files of a package, registered or not.

    Args:
        kind (str): Its name.
        package (str): Name of the package.

    Returns:
        bool: True for a class that the package leaves out, because others are not installed, say.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.origin or not kind.isidentifier():
        return False
    line = re.compile(rf'^class {kind}\b', re.MULTILINE)
    return any(line.search(path.read_text(encoding='utf-8', errors='replace'))
               for path in Path(found.origin).parent.rglob('*.py'))


def _of_scope(root: Registry, scope: str) -> Any:
    # mmpretrain's alone: mmengine has no registry of that kind.
    if root is BATCH_AUGMENTS:
        return contextlib.nullcontext(root)
    return root.switch_scope_and_registry(scope)
