"""The paper's Figure 4: accuracy against the kernel size of ECA."""
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from eca_mm.backbones.with_attention import network_config
from eca_mm.utils.errors import UserError

from .runs import Run
from .style import COLOURS, DASHES, MARKERS, paper_style


@dataclass(frozen=True)
class SweptRun:
    """One run of a sweep.

    Attributes:
        network (str): Its network without the attention, e.g. ``'ResNet-50'``.
        kernel (int | str): k if it is the same everywhere, else ``'adaptive'``, one k for each
            stage as in ``'3-5-5-7'``, or what a baseline has (``'SE'``, ``'no attention'``).
        result (float): Its accuracy.
    """

    network: str
    kernel: int | str
    result: float


def swept(run: Run, metric: str, best: bool = False) -> SweptRun:
    """Find network, kernel size and result of a run.

    Args:
        run (Run): The run.
        metric (str): What to show, e.g. ``'accuracy/top1'``.
        best (bool): Whether to take the best validation. Defaults to False: the last.

    Returns:
        SweptRun: The findings.

    Raises:
        UserError: If the run has no such metric, or its backbone is not one of ours.
    """
    backbone = run.config.model.get('backbone') or {}
    inner, _ = network_config(backbone)
    if inner is not backbone:
        backbone = {**inner, 'attention': backbone.get('attention')}
    kind = str(backbone.get('type')).split('.')[-1]
    if 'MobileNetV2' in kind:
        network = 'MobileNetV2'
    elif 'ResNet' in kind:
        network = f'ResNet-{backbone.get("depth")}'
    else:
        raise UserError(f'Run {run.path} has the backbone {kind}; kernel sizes are compared for '
                        'ResNets and MobileNetV2.')
    return SweptRun(network, _kernel(kind, backbone), run.result(metric, best))


def _kernel(kind: str, backbone: dict) -> int | str:
    if kind.startswith('ECA'):
        return _size(backbone.get('kernel_size', 'adaptive'))
    attention = backbone.get('attention') or [
        plugin['cfg'] for plugin in backbone.get('plugins') or ()]
    entries = [attention] if isinstance(attention, dict) else [a for a in attention if a]
    kinds = {str(entry['type']).split('.')[-1] if isinstance(entry, dict) else 'mixed'
             for entry in entries}
    if kinds == {'ECALayer'}:
        sizes = [entry.get('kernel_size', 'adaptive') for entry in entries]
        return _size(sizes if len(set(sizes)) > 1 else sizes[0])
    return ' + '.join(sorted(name.removesuffix('Layer') for name in kinds)) or 'no attention'


def _size(kernel_size: int | str | Sequence[int]) -> int | str:
    if isinstance(kernel_size, int | str):
        return kernel_size
    sizes = list(kernel_size)
    return sizes[0] if len(set(sizes)) == 1 else '-'.join(map(str, sizes))


def draw_kernel_sweep(runs: list[SweptRun], metric: str) -> Figure:
    """Draw a line for each network, and horizontal ones for what has no single k.

    Args:
        runs (list[SweptRun]): The runs; several of a network and kernel size are averaged, with a
            bar from the lowest to the highest.
        metric (str): What the results are.

    Returns:
        Figure: The picture.

    Raises:
        UserError: If no run has one kernel size everywhere.
    """
    results: dict[str, dict[int | str, list[float]]] = {}
    for run in runs:
        results.setdefault(run.network, {}).setdefault(run.kernel, []).append(run.result)
    sizes = sorted({run.kernel for run in runs if isinstance(run.kernel, int)})
    if not sizes:
        raise UserError('No run has one kernel size in all blocks, such as '
                        'model.backbone.kernel_size=3; a sweep has several.')
    with paper_style():
        figure = Figure(figsize=(4.2, 3.4), layout='constrained')
        ax = figure.subplots()
        for i, (network, kernels) in enumerate(results.items()):
            colour = COLOURS[i % len(COLOURS)]
            fixed = [k for k in sizes if k in kernels]
            if fixed:
                means = np.array([np.mean(kernels[k]) for k in fixed])
                spread = [[mean - min(kernels[k]) for mean, k in zip(means, fixed, strict=True)],
                          [max(kernels[k]) - mean for mean, k in zip(means, fixed, strict=True)]]
                ax.errorbar(fixed, means, spread, color=colour, marker=MARKERS[i % len(MARKERS)],
                            markersize=5, capsize=2, label=f'ECA-{network}, k fixed')
            others = sorted((k for k in kernels if isinstance(k, str)),
                            key=lambda name: (name != 'adaptive', name))
            for j, name in enumerate(others):
                label = (f'ECA-{network}, k {name}' if name == 'adaptive' or name[0].isdigit()
                         else f'{network}, {name}')
                ax.axhline(float(np.mean(kernels[name])), color=colour, label=label, linewidth=1,
                           linestyle=DASHES[1 + j % (len(DASHES) - 1)])
        ax.set_xticks(sizes)
        ax.set_xlabel('kernel size k')
        ax.set_ylabel(metric)
        ax.margins(y=.1)
        figure.legend(loc='outside upper center', ncols=2, handlelength=3)
    return figure
