"""Write the results of cifar_study.py and its pictures into the documentation.

Each place stands between ``<!-- cifar NAME: ... -->`` and ``<!-- end NAME -->``.
"""
import json
import re
from pathlib import Path

from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.errors import UserError
from eca_mm.visualization.seed_study import Difference, study_table

CURVES, SWEEP = 'compare_runs.png', 'kernel_sweep.png'


def write_pages(study: Path, docs: Path) -> None:
    """Fill the places in the pages, and replace the pictures.

    Args:
        study (Path): Folder with ``study.json`` and the pictures.
        docs (Path): The documentation.

    Raises:
        UserError: If a page lacks a place.
    """
    figures = json.loads((study / 'study.json').read_text())
    # All pages are made before the first is written.
    texts = {page: (docs / page).read_text() for page in ('benchmarks.md', 'visualization.md')}
    texts['benchmarks.md'] = filled(texts['benchmarks.md'], 'study', section(figures))
    pictures = {CURVES: curves(figures), SWEEP: sweep(figures)}
    # A picture of an earlier report may lie there without its runs.
    there = [name for name, text in pictures.items() if text and (study / name).is_file()]
    for name in there:
        texts['visualization.md'] = filled(
            texts['visualization.md'], Path(name).stem, pictures[name])
    for page, text in texts.items():
        write_atomically(text.encode(), docs / page)
    for name in there:
        write_atomically((study / name).read_bytes(), docs / 'images' / name)


def filled(page: str, name: str, text: str) -> str:
    """Replace what stands in a place.

    Args:
        page (str): The page.
        name (str): Name of the place.
        text (str): What to put there.

    Returns:
        str: The page.

    Raises:
        UserError: If it has no such place.
    """
    place = re.compile(f'(<!-- cifar {name}:[^\n]*-->\n).*(<!-- end {name} -->)', re.DOTALL)
    page, count = place.subn(lambda found: f'{found[1]}{text.rstrip()}\n{found[2]}', page)
    if count != 1:
        raise UserError(f'The documentation has no place for {name}: a page has to hold '
                        f'"<!-- cifar {name}: ... -->" and "<!-- end {name} -->".')
    return page


def section(figures: dict) -> str:
    """Settings and results, for benchmarks.md.

    Args:
        figures (dict): Content of ``study.json``.

    Returns:
        str: A sentence and a table in Markdown.
    """
    rows = {name: {**row, **({'difference': Difference(**row['difference'])}
                             if row.get('difference') else {})}
            for name, row in figures['networks'].items()}
    return (f'{settings(figures)}. Top-1 accuracy on the 10,000 test images, in %, after the last '
            f'epoch:\n\n{study_table(rows)}')


def settings(figures: dict) -> str:
    """How the networks were trained.

    Args:
        figures (dict): Content of ``study.json``.

    Returns:
        str: Part of a sentence.
    """
    return (f'ResNet-{figures["depth"]} on CIFAR-10, {figures["epochs"]} epochs in batches of 128 '
            f'images, learning rate 0.1, a tenth of it after {listed(figures["milestones"])} '
            f'epochs, {seeds(figures["networks"].values())}')


def curves(figures: dict) -> str:
    """Picture and caption of ``compare_runs``.

    Args:
        figures (dict): Content of ``study.json``.

    Returns:
        str: Markdown; empty if the three networks have no seed in common.
    """
    rows = list(figures['networks'].values())[:3]
    seed = next((seed for seed in rows[0]['seeds'] if all(seed in row['seeds'] for row in rows)),
                None)
    if seed is None:
        return ''
    return (f'![Loss, learning rate and accuracy of three runs]({Path("images", CURVES)})\n\n'
            f'*ResNet-{figures["depth"]} on CIFAR-10 without attention, with SE and with ECA, '
            f'{figures["epochs"]} epochs, seed {seed}. [benchmarks.md](benchmarks.md) has all '
            'seeds and the differences between the networks.*\n')


def sweep(figures: dict) -> str:
    """Picture and caption of ``kernel_sweep``.

    Args:
        figures (dict): Content of ``study.json``.

    Returns:
        str: Markdown; empty without kernel sizes.
    """
    rows = figures['networks']
    if not any(name.startswith('ECA-k') for name in rows):
        return ''
    each = '; '.join(f'{name}: {seeds([row])}' for name, row in rows.items())
    return (f'![Top-1 accuracy against the kernel size]({Path("images", SWEEP)})\n\n'
            f'*ECA-ResNet-{figures["depth"]} on CIFAR-10 with one k in all blocks, beside the '
            f'network without attention and with SE, {figures["epochs"]} epochs. Adaptive k is 3 '
            f'everywhere in this network. Points are means ({each}), bars reach from the lowest to '
            'the highest run.*\n\n'
            'The trainings are those of [benchmarks.md](benchmarks.md).\n')


def seeds(rows: list) -> str:
    """Which seeds there are.

    Args:
        rows (list): Networks.

    Returns:
        str: ``'seeds 0, 1 and 2'``.
    """
    every = sorted({seed for row in rows for seed in row['seeds']})
    return f'seed{"s" if len(every) > 1 else ""} {listed(every)}'


def listed(values: list) -> str:
    """Join words.

    Args:
        values (list): The words.

    Returns:
        str: ``'1, 2 and 3'``.
    """
    *others, last = map(str, values)
    return f'{", ".join(others)} and {last}' if others else last
