"""How the maps of a frame stream and of an event stream become one.

Cao et al., ECCV 2024 (https://arxiv.org/abs/2407.12582), compare a concatenation with channel
attentions, ECA among them; where these stand is not published, so both places are here.
"""
from __future__ import annotations

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

_MODES = ('concat', 'per_stream')


@MODELS.register_module()
class ConcatFusion(BaseModule):
    """The channels of the event stream, then those of the frame stream.

    Args:
        frame_channels (int): Channels of the frame map.
        event_channels (int): Channels of the event map.
        init_cfg (dict, optional): As everywhere in mmengine.
    """

    def __init__(self, frame_channels: int, event_channels: int,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.out_channels = frame_channels + event_channels

    def forward(self, frames: Tensor, events: Tensor) -> Tensor:
        """Join two maps.

        Args:
            frames (Tensor): Frame map of shape (N, C1, H, W).
            events (Tensor): Event map of shape (N, C2, H, W).

        Returns:
            Tensor: Of shape (N, C1 + C2, H, W).
        """
        return torch.cat([events, frames], 1)


@MODELS.register_module()
class AttentionFusion(ConcatFusion):
    """A concatenation with an attention on it, or on each of the two maps before it.

    On the concatenation ECA's neighbouring channels belong to one stream except at the seam between
    them; interleaved, every channel has its counterpart of the other stream beside it.

    Args:
        frame_channels (int): Channels of the frame map.
        event_channels (int): Channels of the event map.
        attention (dict): Config of a layer that is built with ``in_channels``: ``ECALayer``,
            ``SELayer``, ``CBAM`` ...
        mode (str): ``'concat'`` for one attention on the concatenation, ``'per_stream'`` for one
            on each map. Defaults to ``'concat'``.
        interleave (bool): Whether the channels of both streams alternate, events first, in the
            concatenation and in the output. Defaults to False.
        init_cfg (dict, optional): As everywhere in mmengine.

    Raises:
        ValueError: If ``mode`` is unknown, ``attention`` is not a config, or channels are to be
            interleaved that are not equally many, or not concatenated before the attention.
    """

    def __init__(self,
                 frame_channels: int,
                 event_channels: int,
                 attention: dict,
                 mode: str = 'concat',
                 interleave: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(frame_channels, event_channels, init_cfg)
        if mode not in _MODES:
            raise ValueError(f"mode is {mode!r}, but must be 'concat' or 'per_stream'.")
        if not isinstance(attention, dict) or 'type' not in attention:
            raise ValueError(f'attention is {attention!r}, but must be the config of a layer, such '
                             "as dict(type='ECALayer'); for none use ConcatFusion.")
        if interleave and mode != 'concat':
            raise ValueError("interleave=True makes sense with mode='concat' only.")
        if interleave and frame_channels != event_channels:
            raise ValueError(f'{frame_channels} frame channels and {event_channels} event channels '
                             'cannot be interleaved; both streams must have equally many.')
        self.mode, self.interleave = mode, interleave
        if mode == 'concat':
            self.attention = MODELS.build(dict(attention, in_channels=self.out_channels))
        else:
            self.frame_attention = MODELS.build(dict(attention, in_channels=frame_channels))
            self.event_attention = MODELS.build(dict(attention, in_channels=event_channels))

    def forward(self, frames: Tensor, events: Tensor) -> Tensor:
        """Recalibrate and join two maps.

        Args:
            frames (Tensor): Frame map of shape (N, C1, H, W).
            events (Tensor): Event map of shape (N, C2, H, W).

        Returns:
            Tensor: Of shape (N, C1 + C2, H, W).
        """
        if self.mode == 'per_stream':
            return super().forward(self.frame_attention(frames), self.event_attention(events))
        if self.interleave:
            return self.attention(torch.stack([events, frames], 2).flatten(1, 2))
        return self.attention(super().forward(frames, events))
