"""Two parallel backbones, one for frames and one for events."""
from __future__ import annotations

import copy

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from eca_mm.utils.errors import UserError
from eca_mm.utils.pretrained import pretrained_configs, weights_as_loaded

from .channels import image_channels
from .with_attention import network_config

# Of the image that shows what the streams output.
_SIDE = 64


@MODELS.register_module()
class TwoStreamBackbone(BaseModule):
    """A frame stream and an event stream, fused stage by stage (Cao et al., ECCV 2024).

    It takes one map that holds the channels of the frame, then those of the events
    (:class:`eca_mm.datasets.StackEvents`), so detectors need not know that there are two.

    A stream that starts from ``init_cfg=dict(type='Pretrained')`` weights of another number of
    input channels, as the event stream does with those of ImageNet, gets the average of the
    first convolution's weights over the channels, repeated for each input channel.

    Args:
        frame (dict | None): Config of the frame stream, any registered backbone that outputs
            several maps. None for events only.
        event (dict | None): Config of the event stream, with ``in_channels`` as many as the voxel
            grid has bins. None for frames only.
        fusion (dict | list[dict] | None): Config of what makes one map of two in every stage:
            :class:`~eca_mm.backbones.stream_fusion.ConcatFusion` or
            :class:`~eca_mm.backbones.stream_fusion.AttentionFusion`. A list has one for each
            stage. None with one stream.
        frame_channels (int): Channels of the frame in the input. Defaults to 3.
        event_channels (int): Channels of the events in the input. Defaults to 5.
        init_cfg (dict, optional): As everywhere in mmengine.

    Attributes:
        out_channels (tuple[int, ...]): Channels of the output maps.

    Raises:
        ValueError: If no stream is given, one stream comes with a fusion or two without, or the
            streams do not put out equally many maps of the same sizes.
    """

    def __init__(self,
                 frame: dict | None,
                 event: dict | None,
                 fusion: dict | list[dict] | None = None,
                 frame_channels: int = 3,
                 event_channels: int = 5,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if frame is None and event is None:
            raise ValueError('frame and event are both None; give the config of at least one '
                             'stream.')
        if (fusion is None) != (frame is None or event is None):
            raise ValueError('fusion must be given with two streams, as '
                             "dict(type='ConcatFusion'), and be None with one.")
        self.frame_channels, self.event_channels = frame_channels, event_channels
        self._pretrained: dict[str, dict] = {}
        channels, sizes = [], []
        for name, config, size in (('frame_stream', frame, frame_channels),
                                   ('event_stream', event, event_channels)):
            if config is not None:
                stream = MODELS.build(self._without_pretrained(name, config, size))
                self.add_module(name, stream)
                maps = _maps(name, stream, size)
                channels.append(tuple(value.size(1) for value in maps))
                sizes.append([tuple(value.shape[2:]) for value in maps])
        if fusion is None:
            self.out_channels = channels[0]
            return
        if len(channels[0]) != len(channels[1]):
            raise ValueError(f'The frame stream outputs {len(channels[0])} maps and the event '
                             f'stream {len(channels[1])}; set the same out_indices for both.')
        if sizes[0] != sizes[1]:
            raise ValueError(f'For an image of {_SIDE} x {_SIDE} pixels the frame stream outputs '
                             f'maps of the sizes {sizes[0]}, the event stream {sizes[1]}; set the '
                             'same strides for both.')
        fusions = fusion if isinstance(fusion, list | tuple) else [fusion] * len(channels[0])
        if len(fusions) != len(channels[0]) or not all(isinstance(f, dict) for f in fusions):
            raise ValueError(f'fusion is {fusion!r}, but must be a config or a list of '
                             f'{len(channels[0])} configs, one for each map.')
        self.fusions = nn.ModuleList(
            MODELS.build(dict(config, frame_channels=c1, event_channels=c2))
            for config, c1, c2 in zip(fusions, *channels, strict=True))
        self.out_channels = tuple(module.out_channels for module in self.fusions)

    @property
    def in_channels(self) -> int:
        """Channels of the input: frame and events."""
        return self.frame_channels + self.event_channels

    def _without_pretrained(self, name: str, config: dict, channels: int) -> dict:
        """Keep pretrained weights back that mmengine could not load for their first layer."""
        config = copy.deepcopy(dict(config))
        network, _ = network_config(config)
        # What WithAttention is given replaces what its network names.
        init_cfg = config.get('init_cfg', network.get('init_cfg'))
        if isinstance(init_cfg, list) and len(init_cfg) == 1:
            init_cfg = init_cfg[0]
        if channels != 3 and isinstance(init_cfg, dict) and pretrained_configs(init_cfg):
            config.pop('init_cfg', None)
            network.pop('init_cfg', None)
            self._pretrained[name] = init_cfg
        return config

    def init_weights(self) -> None:
        """Initialise the streams, with pretrained weights where they are named.

        Raises:
            UserError: If these weights are of another architecture.
        """
        was_init = self.is_init
        super().init_weights()
        if not was_init:
            for name, init_cfg in self._pretrained.items():
                load_with_repeated_stem(getattr(self, name), init_cfg)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the fused maps.

        Args:
            x (Tensor): Frames and voxel grids of shape (N, frame_channels + event_channels, H, W).

        Returns:
            tuple[Tensor, ...]: One map (N, out_channels[i], H / stride, W / stride) per stage.

        Raises:
            ValueError: If the input has another number of channels.
        """
        if not torch.jit.is_tracing() and (x.dim() != 4 or x.size(1) != self.in_channels):
            raise ValueError(
                f'TwoStreamBackbone got an input of shape {tuple(x.shape)}, but expects (N, '
                f'{self.in_channels}, H, W): {self.frame_channels} channels of the frame and '
                f'{self.event_channels} of the events.')
        frames, events = x.split([self.frame_channels, self.event_channels], 1)
        maps = [stream(part) for stream, part in (
            (getattr(self, 'frame_stream', None), frames),
            (getattr(self, 'event_stream', None), events)) if stream is not None]
        if len(maps) == 1:
            return tuple(maps[0])
        return tuple(fuse(frame, event)
                     for fuse, frame, event in zip(self.fusions, *maps, strict=True))


def _maps(name: str, stream: nn.Module, in_channels: int) -> tuple[Tensor, ...]:
    """What a stream outputs for a black image."""
    first = next((module for module in stream.modules() if isinstance(module, nn.Conv2d)), None)
    if first is not None and first.in_channels != in_channels:
        raise ValueError(f'The {name} is built for {first.in_channels} input channels, but gets '
                         f'{in_channels}; set in_channels={in_channels} in its config.')
    parameter = next(stream.parameters())
    mode = stream.training
    stream.eval()
    with torch.no_grad():
        maps = stream(torch.zeros(1, in_channels, _SIDE, _SIDE, device=parameter.device,
                                  dtype=parameter.dtype))
    stream.train(mode)
    if not isinstance(maps, tuple | list) or any(value.dim() != 4 for value in maps):
        raise ValueError(f'The {name}, {type(stream).__name__}, does not output several maps; use '
                         'a backbone with out_indices.')
    return tuple(maps)


def load_with_repeated_stem(stream: nn.Module, init_cfg: dict) -> None:
    """Load weights whose first convolution is for another number of input channels.

    Args:
        stream (nn.Module): A backbone.
        init_cfg (dict): With ``checkpoint`` and, for a part of it, ``prefix``.

    Raises:
        UserError: If no weight fits by its name, or another than the first by its shape.
    """
    path = init_cfg['checkpoint']
    weights = weights_as_loaded(CheckpointLoader.load_checkpoint(path, 'cpu'),
                                init_cfg.get('prefix'))
    stem = next(f'{name}.weight' for name, module in stream.named_modules()
                if isinstance(module, nn.Conv2d))
    own = stream.state_dict()
    if stem in weights and weights[stem].dim() == 4 and weights[stem].shape != own[stem].shape:
        channels = own[stem].size(1)
        print_log(f'{path}: the first convolution ({stem}) has {weights[stem].size(1)} input '
                  f'channels, this stream {channels}; its weights are averaged over the channels '
                  f'and repeated {channels} times.', logger='current')
        weights[stem] = weights[stem].mean(1, keepdim=True).repeat(1, channels, 1, 1)
    matched = own.keys() & weights.keys()
    wrong = sorted(name for name in matched if own[name].shape != weights[name].shape)
    if wrong or not matched:
        problem = (f'{wrong[0]} has shape {tuple(weights[wrong[0]].shape)} instead of '
                   f'{tuple(own[wrong[0]].shape)}' if wrong else 'no name of a weight fits')
        raise UserError(f'Pretrained weights {path} do not fit {type(stream).__name__}: {problem}; '
                        'use weights of the same architecture, or set prefix.')
    missing = sorted(own.keys() - matched)
    if missing:
        print_log(f'{path} lacks {len(missing)} weights, which start at random: '
                  f'{", ".join(missing[:5])}.', logger='current')
    stream.load_state_dict({name: weights[name] for name in matched}, strict=False)


def input_channels(model: nn.Module) -> int:
    """Number of input channels of a model: of both streams together, or of its first convolution.

    Args:
        model (nn.Module): A classifier, a detector or a backbone.

    Returns:
        int: The number of channels.
    """
    for module in model.modules():
        if isinstance(module, TwoStreamBackbone):
            return module.in_channels
    return image_channels(model)
