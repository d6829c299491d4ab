"""The recomputed tables of the paper as a Markdown page."""
from eca_mm.utils.terminal import markdown_table

from .paper_tables import load_figures

HEADER = '# The paper\'s parameters and FLOPs, recomputed\n'

_INTRODUCTION = '''
Written by `python tools/analysis_tools/paper_tables.py --out docs/paper_tables.md --overwrite`,
which builds every row's config and counts. *Printed* is what the paper prints, *computed* the same
quantity from our model in the paper's way of counting, *all parameters* and *multiply-adds* are
what the model has in plain decimal units, as in the metafiles (where multiply-adds include
normalisation and pooling). A note says why a computed figure is not the printed one within its
digits. Rows marked with * were copied into the paper from other papers, with other ways of
counting.

How the paper counts:

- Tables 3, 4 and 7: parameters / 2^20. FLOPs / 2^30 (MobileNetV2: / 2^20) at 224 x 224 pixels
  (Inception-v3: 299 x 299), where a convolution counts its multiply-adds, normalisation 4 per
  element, ReLU 1 per element (not in Table 7), a fully connected layer multiplications and
  additions, and the pooling inside attentions 1 per element.
- Table 5: millions of *trainable* parameters; the stem and the first stage are frozen. FLOPs / 10^9
  at 1280 x 800 pixels with 1000 proposals, 100 of them with masks, as the counter of MMDetection
  1.x saw them: multiply-adds and biases of layers, normalisation 2 per element, ReLU and pooling 1
  per element, nothing for functional calls, and a transposed convolution for every position of its
  *output*. Its two-stage heads had the background as an 81st class in box regression and masks too.
  What today's heads lack of that (4,100 parameters, and 257 more with masks) is in *computed*.
'''


def as_markdown(tables: dict[str, dict[str, dict]]) -> str:
    """Write recomputed tables as Markdown.

    Args:
        tables (dict): ``table2`` ... ``table7`` or some of them; rows by name, each as
            :func:`~eca_mm.analysis.paper_tables.recompute` returns it.

    Returns:
        str: The page.
    """
    figures = load_figures()
    parts = [HEADER, _INTRODUCTION]
    for table, rows in tables.items():
        digits = figures[table]['digits']
        text = (_attention_table(rows, digits) if table == 'table2' else
                _network_table(rows, digits, once=table in ('table5', 'table6')))
        parts += [f'\n## {figures[table]["title"]}\n\n', text, '\n']
    return ''.join(parts)


def _attention_table(rows: dict[str, dict], digits: dict[str, int]) -> str:
    header = ('attention', 'parameters, printed', 'in all 16 blocks', 'computed',
              'all parameters', 'FLOPs', 'multiply-adds')
    return markdown_table(header, [
        (_link(name, row), f'`{row["printed_params"]}`', f'{row["expected_params"]:,}',
         f'{row["params_paper_unit"]:,}', f'{row["params"]:,}',
         f'{row["flops_paper_unit"]:.{digits["flops"]}f} G', f'{row["flops"] / 1e9:.3f} G')
        for name, row in rows.items()], compact=True)


def _network_table(rows: dict[str, dict], digits: dict[str, int], once: bool) -> str:
    """Table of networks; ``once`` adds FLOPs with deconvolutions charged once per input."""
    header = ('row', 'parameters, printed', 'computed', 'difference', 'FLOPs, printed',
              'computed', 'difference', 'all parameters', 'multiply-adds',
              *(['deconvolution once per input'] if once else []), 'note')
    return markdown_table(header, [
        (_link(name, row),
         *_compared(row['params_paper_unit'], row['printed_params'], digits['params'], 'M'),
         *_compared_flops(row, digits['flops']),
         f'{row["params"]:,}', f'{row["flops"] / 1e9:.3f} G',
         *([f'{row["flops_deconv_once"]:.2f} G' if 'flops_deconv_once' in row else '']
           if once else []), row['reason'] or '') for name, row in rows.items()],
        'l' + 'r' * (len(header) - 2) + 'l', compact=True)


def _compared_flops(row: dict, digits: int) -> tuple[str, str, str]:
    value, printed = row['flops_paper_unit'], row['printed_flops']
    if row['count'] == 'mobile':
        return _compared(1000 * value, 1000 * printed, 1, 'M')
    return _compared(value, printed, digits, 'G')


def _compared(value: float, printed: float | None, digits: int, unit: str) -> tuple[str, str, str]:
    """Printed, computed and difference; one digit more than printed where they are apart."""
    if printed is None:
        return '', f'{value:.{digits}f} {unit}', ''
    more = digits + 1
    return (f'{printed:.{digits}f} {unit}', f'{value:.{more}f} {unit}',
            f'{value - printed:+.{more}f}')


def _link(name: str, row: dict) -> str:
    return f'[{name}](../configs/{row["config"]}.py){"*" if row["copied"] else ""}'
