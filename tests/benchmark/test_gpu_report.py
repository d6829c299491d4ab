"""The report of a GPU, rehearsed on a CPU."""
import json
import os
import subprocess
import sys

import pytest

from eca_mm.benchmark.gpu_report import report_cells
from tests.support.processes import ROOT


def test_cells():
    cells = list(report_cells('cuda', False))
    assert len({cell.title for cell in cells}) == len(cells) == 34
    # What takes long comes last.
    compiled = [cell.settings.compile for cell in cells]
    assert compiled == sorted(compiled)
    assert {cell.settings.batch for cell in cells} == {2, 64, 256}


@pytest.mark.slow
def test_rehearsal(tmp_path):
    done = subprocess.run([ROOT / '.dev_scripts/gpu_report.sh', tmp_path / 'out', '--rehearse'],
                          env={**os.environ, 'PYTHON': sys.executable}, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    figures = json.loads((tmp_path / 'out/benchmark.json').read_text())
    assert figures.pop('not_measured') == {} and len(figures) == 8
    section = (tmp_path / 'out/benchmark.md').read_text()
    assert section.startswith('## Rehearsal of the GPU report')
    assert 'eca_resnet18_accelerated' in section
