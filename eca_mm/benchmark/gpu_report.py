"""Everything that is to be known of a GPU, as a section for ``docs/benchmarks.md``."""
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from eca_mm.utils.terminal import markdown_table

from .comparison import compare
from .counting import DEFAULT_MODELS, measure_counts
from .networks import parse_entry
from .steps import Settings

# What is compared: with modules one after the other, and in Triton kernels.
TRAINED: tuple[str, ...] = ('eca_resnet50_unfused', 'eca_resnet50_accelerated')
INFERRED: tuple[str, ...] = ('resnet50_fused', 'eca_resnet50_fused',
                             'eca_resnet50_fused_accelerated')
DETECTORS: tuple[str, ...] = ('faster_rcnn_eca_r50_unfused', 'faster_rcnn_eca_r50_accelerated')


@dataclass(frozen=True)
class Cell:
    """One comparison.

    Attributes:
        title (str): What it is called.
        settings (Settings): How the networks are run.
        models (tuple[str, ...]): Which, beside the network without attention.
    """

    title: str
    settings: Settings
    models: tuple[str, ...]


def report_cells(device: str, rehearse: bool) -> Iterator[Cell]:
    """List the comparisons, those without ``torch.compile`` first, for it takes long.

    Args:
        device (str): Where they run.
        rehearse (bool): Whether tiny sizes will do.

    Yields:
        Cell: The next one.
    """
    batches, shape = ((2,), (32, 32)) if rehearse else ((64, 256), (224, 224))
    # CPUs are slow in fp16.
    half = 'bf16' if rehearse else 'fp16'
    for compiled in (False, True)[:1 if rehearse else 2]:
        for batch in batches:
            for training in (True, False):
                for dtype in ('fp32', half):
                    for layout in ('contiguous', 'channels_last'):
                        title = ', '.join(('training' if training else 'inference', f'{batch}',
                                           dtype, layout, *['compiled'][:compiled]))
                        models = TRAINED if training else INFERRED
                        if rehearse:
                            if (dtype, layout) == (half, 'contiguous'):
                                # Nothing in it that the others do not have.
                                continue
                            models = tuple(name.replace('50', '18') for name in models)
                        yield Cell(title, Settings(training, batch, shape, dtype, layout, compiled,
                                                   device), models)
        if not compiled:
            size = (1, (64, 96)) if rehearse else (2, (800, 1344))
            for dtype in ('fp32', half):
                yield Cell(f'Faster R-CNN training, {size[0]}, {dtype}',
                           Settings(True, *size, dtype, device=device), DETECTORS)


def device_report(device: str, seconds: float, rehearse: bool = False) -> tuple[dict, str]:
    """Measure until it is done or the time is over.

    Args:
        device (str): Where to run, ``cuda`` or, for a rehearsal, ``cpu``.
        seconds (float): After which no further comparison is started.
        rehearse (bool): Whether tiny sizes will do. Defaults to False.

    Returns:
        tuple[dict, str]: All figures by title, and the section in Markdown.
    """
    end = time.monotonic() + seconds
    timing = dict(rounds=1, min_time=0., warmup=1) if rehearse else dict(rounds=7, min_time=.5)
    figures: dict[str, dict] = {}
    rows, failed = [], []
    for cell in report_cells(device, rehearse):
        if time.monotonic() > end:
            failed.append(f'{cell.title}: no time was left')
            continue
        try:
            entries = [parse_entry(name, cell.settings.training) for name in cell.models]
            found = compare(entries, cell.settings, **timing)
        except RuntimeError as error:
            # Of memory, mostly: the other comparisons go on.
            failed.append(f'{cell.title}: {str(error).splitlines()[0][:200]}')
            continue
        figures[cell.title] = found
        rows += [[cell.title if i == 0 else '', name, f'{1e3 * times["median"]:.2f}',
                  f'{found["ratios_to_plain"][name]:.3f}']
                 for i, (name, times) in enumerate(found['seconds'].items())]
    figures['not_measured'] = {line.partition(': ')[0]: line.partition(': ')[2] for line in failed}
    counted = {}
    for training in (True, False)[:0 if rehearse else 2]:
        settings = Settings(training, 64)
        counted.update(measure_counts(list(DEFAULT_MODELS[training][:3]), settings).figures)
    return figures, _section(device, rows, failed, counted, rehearse)


def _section(device: str, rows: list[list[str]], failed: list[str], counted: dict,
             rehearse: bool) -> str:
    name = torch.cuda.get_device_name() if device == 'cuda' else 'CPU'
    lines = [f'## {"Rehearsal of the GPU report" if rehearse else "On a GPU"}: {name}', '',
             f'PyTorch {torch.__version__}, CUDA {torch.version.cuda}. Medians; *to plain* is the '
             'throughput beside the network without attention, for inference with BN folded. '
             'fp16 is mixed precision in training. `_accelerated` are the Triton kernels.', '',
             markdown_table(['', 'network', 'ms', 'to plain'], rows)]
    if counted:
        lines += ['', 'Counted, 64 images:', '', markdown_table(
            ['', 'operations', 'GB'], [[n, str(c['operations']), f'{c["gigabytes"]:.1f}']
                                       for n, c in counted.items()])]
    lines += ['', *(f'Not measured: {line}.' for line in failed)]
    return '\n'.join(lines).rstrip() + '\n'
