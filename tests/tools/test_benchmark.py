"""tools/analysis_tools/benchmark.py from the command line, on tiny images."""
import json

import pytest

from tests.support.processes import ROOT, run_tool

TOOL = 'analysis_tools/benchmark.py'
QUICK = ('--rounds', 1, '--min-time', 0, '--threads', 1)
TINY = ('--batch', 2, '--shape', 32, 32, *QUICK)
CONFIG = ROOT / 'configs/se_variants/se-var2-resnet50_4xb64_in1k.py'


@pytest.mark.slow
def test_usual_inference(tmp_path):
    done = run_tool(tmp_path, TOOL, *TINY, '--json', 'out/b.json', '--chart', 'b.png')
    assert done.returncode == 0, done.stderr
    assert 'Measuring' in done.stderr
    figures = json.loads((tmp_path / 'out/b.json').read_text())
    names = ['resnet50_folded', 'resnet50', 'resnet50_fused', 'eca_resnet50',
             'eca_resnet50_fused', 'se_resnet50_fused', 'timm_ecaresnet50',
             'timm_ecaresnet50_folded', 'timm_seresnet50_folded']
    assert list(figures['ratios_to_plain']) == names
    assert figures['ratios_to_plain']['resnet50_folded'] == 1
    for key in ('ratio_quartiles', 'seconds', 'images_per_second', 'peak_memory_bytes',
                'difference'):
        assert figures[key].keys() == set(names)
    assert all(value > 0 for value in figures['ratios_to_plain'].values())
    # The same weights, and so the same scores, whoever computes them in whatever form.
    assert max(figures['difference'].values()) < 1e-5
    assert 'saved_bytes_to_plain' not in figures and figures['not_installed'] == []
    settings = figures['settings']
    assert (settings['batch'], settings['shape'], settings['threads']) == (2, [32, 32], 1)
    assert all(f'\n| {name} ' in done.stdout for name in names)
    assert (tmp_path / 'b.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.slow
def test_training_of_a_config_and_of_networks(tmp_path):
    done = run_tool(tmp_path, TOOL, '--mode', 'train', *TINY, '--json', 'b.json', '--models',
                    'eca_mobilenet_v2', CONFIG)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'b.json').read_text())
    stem = CONFIG.stem
    assert list(figures['ratios_to_plain']) == [
        'mobilenet_v2', f'{stem}_plain', 'eca_mobilenet_v2', stem]
    saved = figures['saved_bytes_to_plain']
    assert saved['mobilenet_v2'] == saved[f'{stem}_plain'] == 1
    assert saved[stem] == pytest.approx(1, abs=.01)


@pytest.mark.slow
def test_detectors(tmp_path):
    done = run_tool(tmp_path, TOOL, '--mode', 'detector', '--shape', 64, 96, *QUICK, '--json',
                    'b.json', '--models', 'retinanet_eca_r50_fused')
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'b.json').read_text())
    assert list(figures['ratios_to_plain']) == ['retinanet_r50_folded', 'retinanet_eca_r50_fused']
    assert figures['settings']['batch'] == 1


@pytest.mark.slow
def test_the_papers_speeds(tmp_path):
    done = run_tool(tmp_path, TOOL, '--mode', 'paper', *TINY, '--json', 'b.json', '--chart',
                    'b.png', '--models', 'MobileNetV2/ECA-Net')
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'b.json').read_text())
    assert list(figures['ratios_to_plain']) == ['MobileNetV2/MobileNetV2', 'MobileNetV2/ECA-Net']
    assert figures['ratios_to_plain']['MobileNetV2/ECA-Net'].keys() == {
        'train', 'infer', 'infer_fused'}
    assert figures['printed_ratios']['MobileNetV2/ECA-Net'] == {
        'train': 676 / 711, 'infer': 2010 / 2086}
    assert (tmp_path / 'b.png').exists()


def test_scaling(tmp_path):
    done = run_tool(tmp_path, TOOL, '--mode', 'scaling', '--batch', 1, '--shape', 4, 4, *QUICK,
                    '--json', 'b.json', '--chart', 'b.png')
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'b.json').read_text())
    assert {'ECA', 'SE', 'CBAM', 'GSoP', 'AA', 'NL'} < set(figures['exponents'])
    assert figures['exponents']['ECA'].keys() == {'N', 'C', 'H', 'W'}
    assert figures['start']['ECA'] == [1, 64, 4, 4] and figures['start']['NL'] == [1, 64, 2, 2]


@pytest.mark.slow
def test_roofline(tmp_path):
    done = run_tool(tmp_path, TOOL, '--mode', 'roofline', *TINY, '--json', 'b.json', '--models',
                    'se_resnet18')
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'b.json').read_text())
    assert list(figures['stages']) == ['layer1', 'layer2', 'layer3', 'layer4']
    assert figures['bytes_per_second'] > 0 and figures['multiply_adds_per_second'] > 0
    assert f'Memory: {figures["bytes_per_second"] / 1e9:.1f} GB/s.' in done.stdout


def test_counts(tmp_path):
    done = run_tool(tmp_path, TOOL, '--mode', 'count', '--train', '--amp', '--batch', 2, '--json',
                    'b.json', '--models', 'resnet18', 'eca_resnet18')
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / 'b.json').read_text())
    assert list(figures) == ['resnet18', 'eca_resnet18']
    assert all(found['operations'] > 0 and found['gigabytes'] > 0 for found in figures.values())


@pytest.mark.parametrize('arguments, code, sentence', [
    (['--train'], 2, 'belong to --mode count'),
    (['--batch', '0'], 2, "positive integer, but got '0'"),
    (['--chart', 'b.jpg'], 2, '--chart must end in .png'),
    (['--mode', 'fly'], 2, 'invalid choice'),
    (['--chart', 'old.png'], 1, 'old.png exists already'),
    (['--json', 'mine.txt'], 1, 'mine.txt exists already'),
    (['--models', 'eca_resnet51'], 1, "no network 'eca_resnet51'"),
    (['--models', 'nowhere.py'], 1, 'nowhere.py does not exist'),
    (['--models', 'eca_resnet50_folded'], 1, 'eca_resnet50_folded cannot be measured'),
    (['--models', f'{CONFIG}:folded'], 1, 'folded cannot be measured'),
    (['--mode', 'train', '--models', 'eca_resnet50_fused'], 1, "none and 'unfused'"),
    (['--mode', 'paper', '--models', 'ResNet-51'], 1, "no row 'ResNet-51'"),
    (['--mode', 'scaling', '--models', 'ECALayer'], 1, "no attention 'ECALayer'"),
    (['--mode', 'roofline', '--models', 'mobilenet_v2'], 1, 'not of mobilenet_v2'),
    (['--device', 'abacus'], 1, "Device 'abacus' cannot be used"),
])
def test_misuse_gives_a_one_line_error(tmp_path, arguments, code, sentence):
    (tmp_path / 'old.png').write_bytes(b'old')
    (tmp_path / 'mine.txt').write_text('mine')
    done = run_tool(tmp_path, TOOL, *arguments)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr and 'Traceback' not in done.stderr
    assert code == 2 or done.stderr.count('\n') == 1
    assert (tmp_path / 'old.png').read_bytes() == b'old'
    assert (tmp_path / 'mine.txt').read_text() == 'mine'
