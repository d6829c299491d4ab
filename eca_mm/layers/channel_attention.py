"""The common base of all attentions that depend only on the global average."""
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Sequence
from types import MethodType
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules import module as torch_module

from .checks import check_in_channels, check_input, is_compiling, is_fx_tracing


class ChannelAttention(nn.Module, metaclass=ABCMeta):
    """Channel attention whose weights depend on the globally averaged input only.

    Eq. (1) of ECA-Net: the input is squeezed to its channel means ``y = g(X)``, :meth:`excite`
    turns them into one weight per channel, and the input is rescaled by these weights. A
    subclass implements :meth:`excite` and nothing else.

    Args:
        in_channels (int): Number of channels C of the input.
        identity_start (bool): For layers that offer it: whether the gate is ``2 * sigmoid(...)``
            and exactly 1 at the start. Defaults to False.

    Raises:
        ValueError: If ``in_channels`` is not a positive integer.
    """

    def __init__(self, in_channels: int, identity_start: bool = False) -> None:
        super().__init__()
        self.in_channels = check_in_channels(in_channels)
        self.identity_start = identity_start

    @property
    def last_weight(self) -> nn.Parameter | None:
        """The weights before the sigmoid, which start at zero for the identity; None if none."""
        return None

    def init_weights(self) -> None:
        """Start as the identity, if the layer was built so; else leave the weights alone."""
        if self.identity_start and self.last_weight is not None:
            nn.init.zeros_(self.last_weight)

    def squash(self, logits: Tensor) -> Tensor:
        """Turn what :meth:`excite` has computed into channel weights.

        Args:
            logits (Tensor): Any numbers, of shape (N, C).

        Returns:
            Tensor: Channel weights of shape (N, C): in (0, 1), or in (0, 2) with
            ``identity_start``.
        """
        return 2 * logits.sigmoid() if self.identity_start else logits.sigmoid()

    @abstractmethod
    def excite(self, y: Tensor) -> Tensor:
        """Compute the channel weights from the pooled descriptor.

        Args:
            y (Tensor): Channel means of shape (N, C).

        Returns:
            Tensor: Channel weights in (0, 1) of shape (N, C).
        """

    def eager_gate(self) -> Callable[[Tensor], Tensor]:
        """Find the quickest way from channel means to channel weights on a CPU.

        Returns:
            Callable: From (N, C) to (N, C, 1, 1), for as long as nobody traces, hooks, derives or
            changes the layer. :meth:`excite` itself here.
        """
        return lambda y: self.excite(y)[..., None, None]

    def excite_backward(self, y: Tensor, gate: Tensor, grad: Tensor, params: Sequence[Tensor]
                        ) -> tuple[Tensor, list[Tensor | None]]:
        """Compute the gradients of :meth:`excite`.

        Autograd does it here. A subclass may write out what autograd takes longer for.

        Args:
            y (Tensor): Channel means of shape (N, C).
            gate (Tensor): What :meth:`excite` made of them, of shape (N, C).
            grad (Tensor): Gradient with respect to ``gate``, of shape (N, C).
            params (Sequence[Tensor]): The values that ``parameters()`` had in the forward pass.

        Returns:
            tuple[Tensor, list[Tensor | None]]: The gradients with respect to ``y``, of shape
            (N, C), and to every one of ``params``, None where it needs none.
        """
        y = y.detach().requires_grad_()
        with torch.enable_grad():
            if all(p is q for p, q in zip(params, self.parameters(), strict=True)):
                gate = self.excite(y)
            else:
                # functional_call had replaced them for the time of the forward pass.
                names = [f'attention.{name}' for name, _ in self.named_parameters()]
                gate = torch.func.functional_call(_Excite(self),
                                                  dict(zip(names, params, strict=True)), (y, ))
        trained = [p for p in params if p.requires_grad]
        grad_y, *grads = torch.autograd.grad(gate, (y, *trained), grad, allow_unused=True)
        grads = iter(grads)
        return grad_y, [next(grads) if p.requires_grad else None for p in params]

    def gate(self, x: Tensor) -> Tensor:
        """Compute the channel weights of a feature map.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Channel weights in (0, 1) of shape (N, C, 1, 1).

        Raises:
            ValueError: If ``x`` is not 4-D or has another number of channels.
        """
        check_input(self, x)
        # The pooling operator rather than x.mean(): mmengine's FLOP counter sees only the former.
        y = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return self.excite(y)[..., None, None]

    def forward(self, x: Tensor) -> Tensor:
        """Rescale every channel by its weight.

        Args:
            x (Tensor): Feature map of shape (N, C, H, W).

        Returns:
            Tensor: Rescaled feature map of shape (N, C, H, W).
        """
        return x * self.gate(x)


class _Excite(nn.Module):
    """``attention.excite`` as a module, whose parameters can be replaced in a call."""

    def __init__(self, attention: ChannelAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, y: Tensor) -> Tensor:
        return self.attention.excite(y)


def supports_fused_tail(attention: nn.Module | None) -> TypeGuard[ChannelAttention]:
    """Tell whether an attention may be computed from its ``excite`` alone.

    Args:
        attention (nn.Module | None): Any layer.

    Returns:
        bool: Whether it is a :class:`ChannelAttention` that changes neither how it pools nor how
        it rescales, and that nobody watches: neither through hooks, its parts' and the global
        ones included, nor by tracing it with torch.fx, which would not see the module.
    """
    if not isinstance(attention, ChannelAttention):
        return False
    cls = type(attention)
    # Not by vars(), which the compiler of PyTorch 2.1 does not know.
    return (cls.gate is ChannelAttention.gate and cls.forward is ChannelAttention.forward
            and is_method(attention.gate, ChannelAttention.gate)
            and is_method(attention.forward, ChannelAttention.forward)
            and not is_fx_tracing() and not is_watched(attention))


def has_hooks(module: nn.Module) -> bool:
    """Tell whether a module has hooks that its call would trigger.

    Args:
        module (nn.Module): Any module.

    Returns:
        bool: Whether it has forward or backward hooks, its own or those of all modules.
    """
    return _has_own_hooks(module) or has_global_hooks()


def is_watched(module: nn.Module) -> bool:
    """Tell whether a module or a part of it has hooks that its call would trigger.

    Args:
        module (nn.Module): Any module.

    Returns:
        bool: Whether one of them has forward or backward hooks, or all modules have.
    """
    return has_global_hooks() or _has_hooks_inside(module)


def _has_hooks_inside(module: nn.Module) -> bool:
    # Not by modules(), which takes several times as long; this runs in every block. The compiler of
    # PyTorch 2.4, though, must not come to one dictionary twice, as to that of a shared activation.
    parts = module.children() if is_compiling() else module._modules.values()
    return _has_own_hooks(module) or any(
        part is not None and _has_hooks_inside(part) for part in parts)


def _has_own_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks
                or module._backward_pre_hooks)


def has_global_hooks() -> bool:
    """Tell whether the call of any module would trigger hooks.

    Returns:
        bool: Whether there are hooks of all modules.
    """
    return bool(torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks
                or torch_module._global_backward_hooks or torch_module._global_backward_pre_hooks)


def is_method(method: Callable, function: Callable) -> bool:
    """Tell whether a method is a class's own, overridden neither by a subclass nor on the object.

    Args:
        method (Callable): The method of an object.
        function (Callable): What the class defines.

    Returns:
        bool: Whether calling one is calling the other.
    """
    # Not by getattr with a default, which compilers answer wrongly.
    return isinstance(method, MethodType) and method.__func__ is function
