"""The grid of batches, sizes and threads."""
import pytest
import torch

from eca_mm.benchmark.grid import MOST_PIXELS, grid_cells
from eca_mm.benchmark.modes import MODES, run_mode
from eca_mm.benchmark.steps import Settings
from eca_mm.utils.errors import UserError

QUICK = dict(rounds=1, min_time=0., warmup=1)


def sizes(batch, shape):
    return [(cell.batch, *cell.shape) for cell in grid_cells(Settings(batch=batch, shape=shape))]


class TestCells:

    def test_all(self):
        defaults = MODES['grid']
        assert sizes(defaults.batch, defaults.shape) == [
            *((n, size, size) for size in (224, 320) for n in (1, 2, 4, 8, 16, 32)),
            *((n, 800, 1344) for n in (1, 2, 4))]

    def test_one_size_or_batch(self):
        assert sizes(2, (0, 0)) == [(2, 224, 224), (2, 320, 320), (2, 800, 1344)]
        assert sizes(8, (0, 0)) == [(8, 224, 224), (8, 320, 320)]
        assert sizes(0, (1600, 1344)) == [(1, 1600, 1344), (2, 1600, 1344)]

    def test_what_is_asked_for_is_measured(self):
        assert sizes(64, (800, 1344)) == [(64, 800, 1344)] and 64 * 800 * 1344 > MOST_PIXELS


def test_measured(tmp_path):
    """Every cell with one thread and with all, and the number of threads is as before."""
    config = tmp_path / 'small.py'
    config.write_text('''
model = dict(type='ImageClassifier', backbone=dict(
    type='ECAResNet', depth=18, kernel_size=3, base_channels=8, stem_channels=8))
default_scope = 'mmpretrain'
''')
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        report = run_mode('grid', [str(config)], Settings(batch=2, shape=(64, 96)), **QUICK)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    cells = report.figures['cells']
    assert [(c['batch'], c['shape'], c['threads']) for c in cells] == [
        (2, (64, 96), 1), (2, (64, 96), 2)]
    for cell, row in zip(cells, report.rows, strict=True):
        seconds = cell['seconds']
        assert cell['ratio'] == pytest.approx(seconds['trained'] / seconds['fused'])
        assert row[1:4] == ['64 x 96', '2', str(cell['threads'])]
        assert row[-1] == f'{cell["ratio"]:.3f}'
    least = min(cells, key=lambda cell: cell['ratio'])
    assert report.note.startswith(f'Least: {least["ratio"]:.3f}, for 2 images of 64 x 96')


@pytest.mark.parametrize('name', ['eca_resnet50_fused', 'timm_ecaresnet50', 'resnet50_folded'])
def test_names_of_forms_are_refused(name):
    with pytest.raises(UserError, match=name):
        run_mode('grid', [name], Settings(batch=1, shape=(32, 32)), **QUICK)
