"""Names that this package shares with other projects: ``SELayer``, ``CBAM``, ``LoadImage``, ..."""
import functools
import logging
from typing import Any

from mmengine.logging import print_log
from mmengine.registry import DefaultScope, Registry

SCOPE = 'eca_mm'


def install() -> None:
    """Let other projects register classes under names that ours have in the root registries.

    What this package registers in a root registry is registered in a child with the scope
    ``eca_mm`` as well, and under its bare name if nobody has that yet. Another project's class of
    the same name, which mmengine would refuse with a KeyError, takes the bare name over: then
    ``type='CBAM'`` is theirs and ``type='eca_mm.CBAM'`` ours. Further calls do nothing.
    """
    register = Registry._register_module
    if hasattr(register, '__wrapped__'):
        return

    @functools.wraps(register)
    def register_beside(self: Registry, module: Any, module_name: str | list[str] | None = None,
                        force: bool = False) -> None:
        if self.parent is not None or not callable(module):
            register(self, module, module_name, force)
            return
        names = [module_name] if isinstance(module_name, str) else module_name
        names = names or [getattr(module, '__name__', str(module))]
        if str(getattr(module, '__module__', '')).partition('.')[0] == SCOPE:
            register(_own(self), module, names, force)
            names = [name for name in names if force or name not in self._module_dict]
        elif not force and SCOPE in self._children:
            for name in names:
                ours = self._children[SCOPE]._module_dict.get(name)
                if ours is not None and self._module_dict.get(name) is ours:
                    del self._module_dict[name]
                    print_log(f'{name} in configs is now that of {module.__module__}; the one of '
                              f'eca_mm is {SCOPE}.{name}.', logger='current', level=logging.INFO)
        register(self, module, names, force)

    Registry._register_module = register_beside


def ours_first(registry: Registry, kind: Any) -> Any:
    """Find what a name means where this package's own classes are meant before others.

    Args:
        registry (Registry): A root registry.
        kind (Any): A config's ``type``.

    Returns:
        Any: This package's class of that bare name; ``kind`` itself if there is none.
    """
    own = registry._children.get(SCOPE)
    if own is None or not isinstance(kind, str) or kind not in own._module_dict:
        return kind
    ours, scope = own._module_dict[kind], DefaultScope.get_current_instance()
    child = registry._children.get(scope.scope_name) if scope else None
    other = (child._module_dict.get(kind) if child else None) or registry._module_dict.get(kind)
    if other not in (None, ours):
        _tell(kind, getattr(other, '__module__', '?'), child.scope if child is not None and kind
              in child._module_dict else registry.scope)
    return ours


@functools.cache
def _tell(name: str, module: str, scope: str) -> None:
    print_log(f'The attention {name!r} is that of eca_mm; for the one of {module} write '
              f"'{scope}.{name}'.", logger='current', level=logging.WARNING)


def _own(root: Registry) -> Registry:
    if SCOPE not in root._children:
        Registry(root.name, parent=root, scope=SCOPE, locations=[SCOPE])
    return root._children[SCOPE]
