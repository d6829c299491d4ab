"""Attach a layer after, before or in place of a module of a network that is unaware of it.

Neither forward hooks nor rewritten forward passes: the module's class is replaced by a subclass of
it, made on the fly, whose ``forward`` calls its parent's and the layer. The layer itself is a child
of the block around, so that its weights have the block's name and all others keep theirs.

Conversions such as ``SyncBatchNorm.convert_sync_batchnorm`` and ``fuse_conv_bn`` put new modules in
the place of normalisations. The module that calls a carrier therefore looks at it whenever it takes
it from its children, and makes a carrier of what has come in its place.
"""
import functools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, SupportsIndex

from torch import Tensor, nn

from eca_mm.layers.checks import is_captured

from .freezing import keep_unloaded_trainable

# Modules that conversions replace by new ones; others keep their class as long as they live.
REBUILT = (nn.modules.batchnorm._BatchNorm, nn.modules.conv._ConvNd)
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class _Derived:
    """Base of classes made on the fly, so that they can be copied and pickled."""

    # What the class was made from: a function of this module and its arguments.
    _origin: tuple = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple:
        get_state = getattr(self, '__getstate__', None)
        return _new, _written(self._origin), get_state() if get_state else self.__dict__


class _Carrier(_Derived):
    """A module with a layer behind or before it."""

    # In a tuple, for a module would become a child and its weights would have two names.
    _attached: tuple[nn.Module, bool]

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        layer, before = self._attached
        if before:
            inputs = (layer(inputs[0]), *inputs[1:])
        output = super().forward(*inputs, **kwargs)  # type: ignore[misc]
        return output if before else layer(output)


class _Sparing(_Derived):
    """A network whose frozen stages spare the attentions that were never loaded."""

    def train(self, mode: bool = True) -> Any:
        with keep_unloaded_trainable(self):
            return super().train(mode)  # type: ignore[misc]


def _written(origin: tuple) -> tuple:
    """An origin without classes that were made on the fly themselves, which have no name."""
    make, base, *arguments = origin
    return make, _written(base._origin) if issubclass(base, _Derived) else base, *arguments


def _class_of(make: str, base: type | tuple, *arguments: Any) -> type:
    return globals()[make](_class_of(*base) if isinstance(base, tuple) else base, *arguments)


def _new(*origin: Any) -> nn.Module:
    cls: Any = _class_of(*origin)
    return cls.__new__(cls)


def _derive(bases: tuple[type, ...], origin: tuple, **members: Any) -> type:
    own = bases[-1]
    if issubclass(own, bases[0]):
        bases = (own, )
    members.update(_origin=origin, __module__=__name__, __doc__=own.__doc__,
                   __qualname__=own.__qualname__)
    return type(own.__name__, bases, members)


@functools.cache
def carrier_class(base: type) -> type:
    """The subclass of a module's class that carries a layer."""
    return _derive((_Carrier, base), ('carrier_class', base))


@functools.cache
def sparing_class(base: type) -> type:
    """The subclass of a network's class that trains what was not loaded."""
    return _derive((_Sparing, base), ('sparing_class', base))


@functools.cache
def keeper_class(base: type, names: tuple[str, ...]) -> type:
    """The subclass of a module's class whose children of these names stay carriers."""
    members: dict[str, Any] = {name: property(_getter(name)) for name in names}
    if issubclass(base, nn.Sequential):
        members.update(__iter__=_kept_children, __getitem__=_kept_item)
        if getattr(base, 'forward', None) is nn.Sequential.forward:
            members.update(forward=_call_kept_children)
    return _derive((_Derived, base), ('keeper_class', base, names), **members)


def _getter(name: str) -> Callable:
    def get(parent: nn.Module) -> Callable:
        return _kept_child(parent, '')

    # Older compilers take neither partials as properties nor, on PyTorch 2.1, cells or defaults.
    consts = tuple(name if const == '' else const for const in get.__code__.co_consts)
    return FunctionType(get.__code__.replace(co_consts=consts), globals())


def _kept_child(parent: nn.Module, name: str) -> Callable:
    child = parent._modules[name]
    if not isinstance(child, _Carrier) and is_captured():
        # A compiler cannot change a class, but it can call one after the other.
        return _both(child, *parent._kept[name])
    if not isinstance(child, _Carrier):
        _carry(child, parent._kept[name])
    return child


def _both(child: nn.Module, layer: nn.Module, before: bool) -> Callable:
    # Not partials, which PyTorch 2.1 does not compile.
    if before:
        return lambda x: child(layer(x))
    return lambda x: layer(child(x))


def _child(parent: nn.Sequential, name: str) -> Callable:
    return _kept_child(parent, name) if name in parent._kept else parent._modules[name]


def _kept_children(parent: nn.Sequential) -> Iterator[Callable]:
    return iter([_child(parent, name) for name in parent._modules])


def _call_kept_children(parent: nn.Sequential, input: Tensor) -> Tensor:
    # The compilers of PyTorch before 2.5 take a Sequential apart themselves, without its __iter__.
    for child in _kept_children(parent):
        input = child(input)
    return input


def _kept_item(parent: nn.Sequential, index: int | slice) -> Callable:
    found = list(parent._modules)[index]
    if isinstance(found, str):
        return _child(parent, found)
    # Of the class it had before, for this one's getters need all children.
    base = type(parent)._origin[1]
    return base(OrderedDict((name, _child(parent, name)) for name in found))


def _carry(module: nn.Module, attached: tuple[nn.Module, bool]) -> None:
    module.__class__ = carrier_class(module.__class__)
    module._attached = attached


def attach(root: nn.Module, path: str, layer: nn.Module, before: bool = False) -> None:
    """Have a module of a network call a layer.

    Args:
        root (nn.Module): A module around it; the layer should be a child of this one or of one
            around it.
        path (str): Name of the module below ``root``, as ``named_modules`` gives it.
        layer (nn.Module): What maps (N, C, H, W) to (N, C, H, W).
        before (bool): Whether it works on the module's input instead of its output.

    Raises:
        ValueError: If the module is a normalisation or convolution in a list, where what takes its
            place later would not be noticed.
    """
    parent_path, _, name = path.rpartition('.')
    parent = root.get_submodule(parent_path)
    module = parent.get_submodule(name)
    if isinstance(module, REBUILT) and module is not root:
        if isinstance(parent, CONTAINERS) and not isinstance(parent, nn.Sequential):
            raise ValueError(f'{path} is a {type(module).__name__} in a {type(parent).__name__}, '
                             'which calls none of its children itself; name the module around '
                             'or another one.')
        _keep(parent, name, (layer, before))
    _carry(module, (layer, before))


def _keep(parent: nn.Module, name: str, attached: tuple[nn.Module, bool]) -> None:
    kept = {**getattr(parent, '_kept', {}), name: attached}
    base = parent.__class__
    if getattr(base, '_origin', ('', ))[0] == 'keeper_class':
        base = base._origin[1]
    parent.__class__ = keeper_class(base, tuple(kept))
    parent._kept = kept


def keep_shared(network: nn.Module) -> None:
    """Have every module that calls a shared carrier notice what takes its place later.

    Args:
        network (nn.Module): A network, after all layers are attached.
    """
    for parent in list(network.modules()):
        for name, child in parent._modules.items():
            if (isinstance(child, _Carrier) and isinstance(child, REBUILT)
                    and name not in getattr(parent, '_kept', {})
                    and (isinstance(parent, nn.Sequential) or not isinstance(parent, CONTAINERS))):
                _keep(parent, name, child._attached)


def spare_unloaded(network: nn.Module) -> None:
    """Have a network that freezes stages spare the attentions in them that are never loaded.

    Args:
        network (nn.Module): A network, or a model that contains one.
    """
    for part in list(network.modules()):
        if hasattr(part, '_freeze_stages') and not isinstance(part, _Sparing):
            with keep_unloaded_trainable(part):
                part._freeze_stages()
            part.__class__ = sparing_class(part.__class__)


def attached_layer(module: nn.Module) -> nn.Module | None:
    """The layer that a module carries behind itself; None for none.

    Args:
        module (nn.Module): Any module.

    Returns:
        nn.Module | None: The layer.
    """
    if not isinstance(module, _Carrier) or module._attached[1]:
        return None
    return module._attached[0]


def carries_layer(module: nn.Module) -> bool:
    """Tell whether a module carries a layer, behind or before itself.

    Args:
        module (nn.Module): Any module.

    Returns:
        bool: Whether it does.
    """
    return isinstance(module, _Carrier)


def original_class(module: nn.Module) -> type:
    """The class that a module had before it carried or kept a layer.

    Args:
        module (nn.Module): Any module.

    Returns:
        type: A class that somebody wrote.
    """
    cls = type(module)
    while issubclass(cls, _Derived):
        cls = cls._origin[1]
    return cls
