"""Residual blocks and stages as they run at inference time: without normalisations."""
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from eca_mm.layers.channel_attention import has_hooks, is_watched

from .cpu_block import CpuBlock
from .inference_block_tail import InferenceBlockTail, runs_eagerly_on_cpu
from .layer_plan import Contents, resolved_form


class InferenceBlock(nn.Module):
    """A residual block without normalisations.

    Args:
        branch (nn.Module): The residual branch up to its last convolution.
        tail (InferenceBlockTail): The last convolution, the attention, the addition and the
            activation.
        downsample (nn.Module | None): What the shortcut consists of, None for the input itself.
        shortcut (bool): Whether there is a shortcut. Defaults to True.
    """

    def __init__(self,
                 branch: nn.Module,
                 tail: InferenceBlockTail,
                 downsample: nn.Module | None = None,
                 shortcut: bool = True) -> None:
        super().__init__()
        self.branch = branch
        self.tail = tail
        self.downsample = downsample
        self.shortcut = shortcut
        self._on_cpu: tuple[Contents, CpuBlock | None] | None = None

    def forward(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride).

        Args:
            x (Tensor): Input of shape (N, C_in, H, W).
            overwrite (bool): Whether nobody else needs ``x``. Defaults to False.

        Returns:
            Tensor: Output of shape (N, C_out, H / stride, W / stride).
        """
        if runs_eagerly_on_cpu(x):
            on_cpu = self.on_cpu()
            if on_cpu is not None:
                return on_cpu(x, overwrite)
        out = self.branch(x)
        if not self.shortcut:
            return self.tail(out, None)
        if self.downsample is None:
            return self.tail(out, x, overwrite)
        # Whose output that is, if anybody else's, the layers alone know.
        return self.tail(out, self.downsample(x))

    def on_cpu(self) -> CpuBlock | None:
        """Resolve the block to operations that suit a CPU, anew whenever a part has changed.

        Returns:
            CpuBlock | None: None where that is switched off, or the end has to be called.
        """
        return resolved_form(self, self._resolve)

    def _resolve(self) -> CpuBlock | None:
        if has_hooks(self.tail) or 'forward' in vars(self.tail):
            return None
        tail = self.tail.on_cpu()
        if tail is None:
            return None
        return CpuBlock(self.branch, tail, self.downsample, self.shortcut)

    def __getstate__(self) -> dict:
        return self.__dict__ | {'_on_cpu': None}


class InferenceStage(nn.Sequential):
    """A stage whose blocks may take the memory of their predecessor's output.

    Not having to ask the system for fresh memory is worth more than anything else on large maps.
    """

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__(*blocks)
        self._on_cpu: tuple[Contents, list[CpuBlock] | None] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        mine, eager = False, runs_eagerly_on_cpu(x)
        all_on_cpu = resolved_form(self, self._resolve) if eager else None
        if all_on_cpu is not None:
            for resolved in all_on_cpu:
                x, mine = resolved(x, mine), resolved.owns_output
            return x
        for block in self:
            if eager and type(block) is InferenceBlock and not _is_wrapped(block):
                on_cpu = block.on_cpu()
                if on_cpu is not None:
                    x, mine = on_cpu(x, mine), on_cpu.owns_output
                    continue
            is_inference_block = isinstance(block, InferenceBlock)
            x = block(x, overwrite=mine) if is_inference_block else block(x)
            # Whoever hooked the block or a part of it may have kept its output.
            mine = is_inference_block and not is_watched(block)
        return x

    def _resolve(self) -> list[CpuBlock] | None:
        """Resolve all blocks, so that they are looked at together; None if one has to be called.

        Hooks may change the blocks that come after them, so that each is looked at in its turn.
        """
        if is_watched(self) or not all(type(block) is InferenceBlock for block in self):
            return None
        blocks = [block._resolve() for block in self if 'forward' not in vars(block)]
        found = [block for block in blocks if block is not None]
        return found if len(found) == len(self) else None

    def __getstate__(self) -> dict:
        return self.__dict__ | {'_on_cpu': None}


def _is_wrapped(block: nn.Module) -> bool:
    return bool(block._forward_hooks or block._forward_pre_hooks or 'forward' in vars(block))


def can_fold(conv: nn.Module, norm: nn.Module) -> bool:
    """Tell whether a normalisation can be folded into the convolution before it.

    Args:
        conv (nn.Module): Any layer.
        norm (nn.Module): The layer after it.

    Returns:
        bool: Whether they are an ordinary convolution and ordinary BN with running statistics.
    """
    return (type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d
            and norm.running_mean is not None and not norm.training)


def build_inference_block(branch: nn.Module,
                          conv: nn.Module,
                          norm: nn.Module,
                          attention: nn.Module | None,
                          activation: nn.Module | None = None,
                          downsample: nn.Module | None = None,
                          shortcut: bool = True) -> InferenceBlock | None:
    """Put a residual block together from its layers, the last normalisation folded.

    Args:
        branch (nn.Module): The residual branch before its last convolution.
        conv (nn.Module): The last convolution.
        norm (nn.Module): The normalisation after it.
        attention (nn.Module | None): The attention after that; it is shared, not copied.
        activation (nn.Module | None): What follows the addition. Defaults to None.
        downsample (nn.Module | None): What the shortcut consists of, None for the input itself.
        shortcut (bool): Whether there is a shortcut. Defaults to True.

    Returns:
        InferenceBlock | None: The inference form; None if the normalisation cannot be folded.
    """
    if not can_fold(conv, norm):
        return None
    tail = InferenceBlockTail(fuse_conv_bn_eval(conv, norm), attention, activation)
    return InferenceBlock(branch, tail, downsample, shortcut)
