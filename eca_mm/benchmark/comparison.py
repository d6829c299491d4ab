"""The speed of networks relative to the same network without attention."""
from typing import Any

import torch

from eca_mm.compat.dynamo import allow_recompilation

from .memory import peak_memory, saved_bytes
from .networks import BenchmarkEntry, WeightPool, build_entry
from .steps import Settings, Step, count_graph_breaks, first_tensor
from .timing import time_in_turns

# What is measured when nothing else is asked for.
DEFAULT_ENTRIES = {
    'infer': ('resnet50', 'resnet50_fused', 'eca_resnet50', 'eca_resnet50_fused',
              'se_resnet50_fused', 'timm_ecaresnet50', 'timm_ecaresnet50_folded',
              'timm_seresnet50_folded'),
    'train': ('eca_resnet50', 'eca_resnet50_unfused', 'se_resnet50', 'timm_ecaresnet50',
              'timm_seresnet50'),
    'detector': ('faster_rcnn_r50', 'faster_rcnn_eca_r50', 'faster_rcnn_eca_r50_fused')}


def compare(entries: list[BenchmarkEntry], settings: Settings, **timing) -> dict:
    """Measure networks against the same networks without attention.

    Args:
        entries (list[BenchmarkEntry]): What to measure; what they are compared with is added.
        settings (Settings): How to run them.
        **timing: Further arguments of :func:`~eca_mm.benchmark.timing.time_in_turns`.

    Returns:
        dict: As :func:`measure` returns it. The ratios are those of throughput; for inference, the
        network without attention has its BN folded.
    """
    references = [each.reference(settings.training) for each in entries]
    entries = list({each.name: each for each in (*references, *entries)}.values())
    return measure(entries, {each.name: each.reference(settings.training).name
                              for each in entries}, settings, **timing)


def measure(entries: list[BenchmarkEntry], references: dict[str, str], settings: Settings,
            memory: bool = True, **timing) -> dict:
    """Measure networks against each other.

    Args:
        entries (list[BenchmarkEntry]): What to measure.
        references (dict[str, str]): For the name of each, the name of the one that it is compared
            with; that one must not need timm.
        settings (Settings): How to run them.
        memory (bool): Whether to measure memory too. Defaults to True.
        **timing: Further arguments of :func:`~eca_mm.benchmark.timing.time_in_turns`.

    Returns:
        dict: By name of the entry: ``ratios_to_plain`` (throughput beside its reference, the
        median over the rounds), ``ratio_quartiles``, ``seconds`` (``median``, ``quartiles``,
        ``rounds``), ``images_per_second``, ``peak_memory_bytes`` (of a step, beyond what is there
        before), and

        - for training ``saved_bytes`` and ``saved_bytes_to_plain``, what is kept for the backward
          pass (not with ``compile``);
        - for inference ``difference``, the relative distance between the outputs and those of the
          first entry with the same weights;
        - with ``compile`` ``graph_breaks``.

        And ``settings`` and ``not_installed``, the names of entries that need timm.
    """
    settings.check()
    training, device = settings.training, torch.device(settings.device)
    pool, steps, absent = WeightPool(), {}, []
    for entry in entries:
        try:
            model = build_entry(entry, pool, settings.all_levels)
        except ImportError:
            absent.append(entry.name)
        else:
            steps[entry.name] = Step(model, settings)
    result: dict[str, Any] = dict(
        ratios_to_plain={}, ratio_quartiles={}, seconds={}, images_per_second={},
        settings=settings.as_dict(), not_installed=absent)
    if settings.compile:
        # One entry for each network that shares a class's code.
        allow_recompilation(len(steps))
        result['graph_breaks'] = {name: count_graph_breaks(step) for name, step in steps.items()}
    if not training:
        result['difference'] = _differences({c.name: c for c in entries}, steps)
    timings = time_in_turns(steps, device, **timing)
    for name, time in timings.items():
        ratio, *quartiles = time.speed_beside(timings[references[name]])
        result['ratios_to_plain'][name] = ratio
        result['ratio_quartiles'][name] = quartiles
        result['seconds'][name] = dict(median=time.median, quartiles=time.quartiles,
                                       rounds=len(time.seconds))
        result['images_per_second'][name] = settings.batch / time.median
    if memory:
        result['peak_memory_bytes'] = {n: peak_memory(s, device) for n, s in steps.items()}
    if memory and training and not settings.compile:
        saved = {name: saved_bytes(step.loss, step.model) for name, step in steps.items()}
        result['saved_bytes'] = saved
        result['saved_bytes_to_plain'] = {n: saved[n] / saved[references[n]] for n in saved}
    return result


def _differences(entries: dict[str, BenchmarkEntry], steps: dict[str, Step]) -> dict[str, float]:
    """How far the outputs are from the first ones computed with the same weights."""
    first: dict = {}
    differences: dict[str, float] = {}
    for name, step in steps.items():
        out = first_tensor(step()).double()
        entry = entries[name]
        network = entry.network.removeprefix('timm_').replace('_', '')
        expected = first.setdefault((network, entry.without_attention), out)
        if out.shape == expected.shape and len(out):
            differences[name] = float((out - expected).norm() / expected.norm())
    return differences
