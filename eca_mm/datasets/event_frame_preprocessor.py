"""Normalising frames and events, each by its own statistics."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmengine.registry import MODELS


@MODELS.register_module()
class EventFramePreprocessor(DetDataPreprocessor):
    """mmdet's DetDataPreprocessor for maps of a frame's channels and a voxel grid's bins.

    Args:
        mean (Sequence[float]): Means of the frame's channels, in the order that
            ``bgr_to_rgb`` leaves.
        std (Sequence[float]): Standard deviations of the frame's channels.
        bins (int): Bins of the voxel grid. Defaults to 5.
        event_mean (float | Sequence[float]): Mean of the bins, one or each. Defaults to 0.
        event_std (float | Sequence[float]): Standard deviation of the bins, one or each. Defaults
            to 1.
        bgr_to_rgb (bool): Whether the frame's channels are turned round. Bins never are. Defaults
            to False: frames stay in BGR.
        frame_dropout (float): Probability with which the frame of an image, once normalised, is
            set to zero in training, so that the events have to do. Defaults to 0.
        **kwargs: All other arguments of :class:`mmdet.models.DetDataPreprocessor`.

    Raises:
        ValueError: If the statistics have the wrong number of values, a deviation is not positive
            or ``frame_dropout`` is not a probability.
    """

    def __init__(self,
                 mean: Sequence[float],
                 std: Sequence[float],
                 bins: int = 5,
                 event_mean: float | Sequence[float] = 0.,
                 event_std: float | Sequence[float] = 1.,
                 bgr_to_rgb: bool = False,
                 frame_dropout: float = 0.,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if len(mean) != len(std) or not len(mean):
            raise ValueError(f'mean has {len(mean)} values and std {len(std)}, but both must have '
                             "one for each of the frame's channels.")
        means = [*mean, *_per_bin('event_mean', event_mean, bins)]
        stds = [*std, *_per_bin('event_std', event_std, bins)]
        if min(stds) <= 0:
            raise ValueError(f'A standard deviation is {min(stds)}, but must be positive.')
        if not 0 <= frame_dropout <= 1:
            raise ValueError(f'frame_dropout is {frame_dropout!r}, but must be a probability from '
                             '0 to 1.')
        self.register_buffer('mean', torch.tensor(means).float().view(-1, 1, 1), False)
        self.register_buffer('std', torch.tensor(stds).float().view(-1, 1, 1), False)
        self._enable_normalize = True
        self.frame_channels, self.bins, self.frame_dropout = len(mean), bins, frame_dropout
        order = list(range(len(means)))
        if bgr_to_rgb:
            order[:len(mean)] = reversed(order[:len(mean)])
        self._order = order

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise, pad and stack a batch.

        Args:
            data (dict): ``inputs``, maps of shape (frame_channels + bins, H, W), and
                ``data_samples``.
            training (bool): Whether frames are dropped. Defaults to False.

        Returns:
            dict: The same with inputs of shape (N, frame_channels + bins, H, W).

        Raises:
            ValueError: If a map has another number of channels.
        """
        maps = data['inputs']
        shapes = {tuple(value.shape[-3:]) for value in maps}
        channels = self.frame_channels + self.bins
        wrong = next((shape for shape in shapes if shape[0] != channels), None)
        if wrong is not None:
            raise ValueError(
                f'A map has the shape {wrong}, but EventFramePreprocessor expects '
                f'{self.frame_channels} channels of a frame and {self.bins} bins; '
                'use the pipeline LoadEvents, EventsToVoxelGrid, StackEvents with as many bins.')
        if self._order != sorted(self._order):
            maps = [value[self._order] for value in maps] if not isinstance(
                maps, torch.Tensor) else maps[:, self._order]
        data = super().forward(dict(data, inputs=maps), training)
        if training and self.frame_dropout:
            dropped = torch.rand(len(data['inputs'])) < self.frame_dropout
            data['inputs'][dropped.to(data['inputs'].device), :self.frame_channels] = 0
        return data


def _per_bin(name: str, value: float | Sequence[float], bins: int) -> list[float]:
    values = [value] * bins if isinstance(value, int | float) else list(value)
    if len(values) != bins:
        raise ValueError(f'{name} has {len(values)} values, but must be one number or have one for '
                         f'each of the {bins} bins.')
    return values
