"""The speeds of the paper's Table 3, as fractions of the plain network's, next to ours."""
from dataclasses import replace

from eca_mm.analysis.paper_tables import load_figures
from eca_mm.utils.errors import UserError

from .comparison import measure
from .networks import BenchmarkEntry
from .report import Report
from .steps import Settings


def compare_with_paper(names: list[str] | None, settings: Settings, **timing) -> Report:
    """Measure rows of Table 3, training and inference.

    The paper compares trained forms; beside that, our inference forms are compared with the plain
    network's, whose BN is folded.

    Args:
        names (list[str] | None): Rows, e.g. ``'ResNet-50/ECA-Net'``; None for all.
        settings (Settings): How to run them, except for ``training``.
        **timing: Further arguments of :func:`~eca_mm.benchmark.timing.time_in_turns`.

    Returns:
        Report: A row for each, and its first row, the plain network, for each network.

    Raises:
        UserError: If there is no such row.
    """
    rows = load_figures()['table3']['rows']
    unknown = sorted(set(names or ()) - set(rows))
    if unknown:
        raise UserError(f'Table 3 has no row {unknown[0]!r}; its rows are {", ".join(rows)}.')
    networks: dict[str, list[str]] = {}
    for name in rows:
        plain, *attentions = networks.setdefault(name.split('/')[0], [name])
        if name != plain and (names is None or name in names):
            networks[name.split('/')[0]].append(name)
    ratios: dict[str, dict] = {}
    spread: dict[str, dict] = {}
    printed: dict[str, dict] = {}
    for plain, *attentions in networks.values():
        if names is not None and not attentions:
            continue
        for step, result in _measure_network([plain, *attentions], rows, settings, timing).items():
            for name in (plain, *attentions):
                entry = f'{name}, fused' if step == 'infer_fused' else name
                ratios.setdefault(name, {})[step] = result['ratios_to_plain'][entry]
                spread.setdefault(name, {})[step] = result['ratio_quartiles'][entry]
        for name in (plain, *attentions):
            printed[name] = {
                step: rows[name][f'{step}_fps'] / rows[plain][f'{step}_fps']
                for step in ('train', 'infer') if f'{step}_fps' in rows[name]}
    figures = dict(ratios_to_plain=ratios, ratio_quartiles=spread, printed_ratios=printed,
                   settings=settings.as_dict())
    header = ['', 'training, printed', 'here', 'inference, printed', 'here', 'here, inference form']
    table = [[name, _cell(printed[name], 'train'), _cell(ratios[name], 'train'),
              _cell(printed[name], 'infer'), _cell(ratios[name], 'infer'),
              _cell(ratios[name], 'infer_fused')] for name in ratios]
    bars = {}
    for step, title in (('train', 'training'), ('infer', 'inference'),
                        ('infer_fused', 'inference form')):
        bars[title] = {name: (ratios[name][step], *spread[name][step]) for name in ratios}
        if step != 'infer_fused':
            bars[f'{title}, printed'] = {name: (printed[name][step], ) * 3 for name in ratios
                                         if step in printed[name]}
    return Report(figures, header, table, 'throughput beside the plain network', bars)


def _measure_network(names: list[str], rows: dict, settings: Settings, timing: dict) -> dict:
    """Ratios of the rows of one network to its first row, by kind of step."""
    trained = [BenchmarkEntry(name, f'eca_mm::{rows[name]["config"]}.py') for name in names]
    fused = [replace(each, name=f'{each.name}, fused', form='fused') for each in trained]
    references = ({each.name: trained[0].name for each in trained}
                  | {each.name: fused[0].name for each in fused})
    train = measure(trained, references, replace(settings, training=True), memory=False, **timing)
    infer = measure([*trained, *fused], references, replace(settings, training=False),
                    memory=False, **timing)
    return dict(train=train, infer=infer, infer_fused=infer)


def _cell(ratios: dict[str, float], step: str) -> str:
    return f'{ratios[step]:.2f}' if step in ratios else ''
