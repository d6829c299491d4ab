"""The recomputed tables: they reach the printed figures, and the written page agrees."""
import re
from pathlib import Path

import pytest

from eca_mm.analysis.paper_markdown import as_markdown
from eca_mm.analysis.paper_tables import TABLES, load_figures, recompute
from tests.support.catalog import metafiles

ROOT = Path(__file__).resolve().parents[2]
FIGURES = load_figures()
ROWS = [(table, name) for table in TABLES for name in FIGURES[f'table{table}']['rows']]
# Deeper variants and large networks.
SLOW = re.compile('101|152|200|161|264')


def fast_and_slow(rows):
    """Parameters of a test, one per row of a table; those of deep networks are slow."""
    deep = {row: SLOW.search(FIGURES[f'table{row[0]}']['rows'][row[1]]['config']) for row in rows}
    return [pytest.param(*row, id=f'{row[0]}-{row[1]}',
                         marks=[pytest.mark.slow] if deep[row] else []) for row in rows]


@pytest.mark.parametrize('table, name', fast_and_slow(ROWS))
def test_row(table, name):
    row = recompute(table, name)
    if not row['copied']:
        assert row['params_agree'] is not False
        if row['printed_flops'] is not None:
            assert row['flops_paper_unit'] == pytest.approx(row['printed_flops'], rel=0.003)
    # A difference has a reason, and a reason a difference.
    assert (row['reason'] is None) == (row['params_agree'] is not False
                                       and row['flops_agree'] is not False)
    page = (ROOT / 'docs/paper_tables.md').read_text()
    section = page.partition(f'\n## Table {table}.')[2].partition('\n## ')[0]
    assert as_markdown({f'table{table}': {name: row}}).splitlines()[-1] in section.splitlines()


@pytest.mark.parametrize('table, name', fast_and_slow(
    [(5, name) for name in FIGURES['table5']['rows'] if not name.endswith((' NL', ' GC'))]))
def test_table_5_to_the_last_digit(table, name):
    row = recompute(table, name)
    assert row['params_agree'] and row['flops_agree']


def test_mask_rcnn_both_ways_of_counting_the_deconvolution():
    """2 x 2 weights with stride 2: charged per output position it costs four times as much."""
    row = recompute(5, 'Mask R-CNN/ResNet-50')
    per_region = (row['flops_paper_unit'] - row['flops_deconv_once']) / 100
    assert per_region == pytest.approx(0.684 - 0.530, abs=1e-3)


def test_attentions_of_table_2_cost_as_their_formulas():
    rows = {name: recompute(2, name) for name in FIGURES['table2']['rows']}
    plain = rows['Vanilla']['params']
    for row in rows.values():
        assert row['params'] - plain == row['params_paper_unit'] == row['expected_params']


def test_page_has_nothing_else():
    page = (ROOT / 'docs/paper_tables.md').read_text()
    assert page.startswith(as_markdown({}))
    titles = [FIGURES[f'table{table}']['title'] for table in TABLES]
    assert re.findall('^## (.+)$', page, re.MULTILINE) == titles
    assert len(re.findall(r'^\| \[', page, re.MULTILINE)) == len(ROWS)


def published(path: str) -> list[tuple[dict, dict]]:
    """Metadata and results of every entry of a metafile that names results."""
    content = metafiles()[path]
    return [(model, {metric: value for result in model['Results']
                     for metric, value in result['Metrics'].items()})
            for model in content['Models'] if 'Results' in model]


METAFILES = list(metafiles())
METRICS = {'Top 1 Accuracy': ('top1', (2, 3, 4, 7)), 'Top 5 Accuracy': ('top5', (2, 3, 4, 7)),
           'box AP': ('AP', (5, )), 'mask AP': ('AP', (6, ))}


@pytest.mark.parametrize('path', METAFILES)
def test_metafile_results_are_those_of_the_table_it_names(path):
    for model, metrics in published(path):
        source = model['Metadata']['Source of Results']
        if 'the paper' not in source:
            continue
        tables = [int(digit) for digit in re.findall(r'\d', source.partition('(')[2])]
        config = model['Config'].removeprefix('configs/').removesuffix('.py')
        for metric, value in metrics.items():
            key, where = METRICS[metric]
            rows = [row for table in tables if table in where
                    for row in FIGURES[f'table{table}']['rows'].values()
                    if row['config'] == config]
            assert [row[key] for row in rows] == [value], (model['Name'], metric)


def test_every_row_has_a_metafile_entry_with_results():
    listed = {model['Config'] for path in METAFILES for model, _ in published(path)}
    assert {f'configs/{row["config"]}.py' for table in TABLES
            for row in FIGURES[f'table{table}']['rows'].values()} <= listed
