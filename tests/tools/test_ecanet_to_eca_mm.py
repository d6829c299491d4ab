"""The command line of the converter of the authors' files."""
import torch

from tests.support.ecanet_files import detector, published, resnet
from tests.support.processes import run_tool

TOOL = 'model_converters/ecanet_to_eca_mm.py'


def test_names_the_config(tmp_path):
    torch.save(published(resnet(18, (3, 5, 7, 7)), 'se_resnet50'), tmp_path / 'model_best.pth.tar')
    result = run_tool(tmp_path, TOOL, 'model_best.pth.tar', 'dst.pth')
    assert result.returncode == 0, result.stderr
    assert 'configs/eca_resnet/eca-resnet18-k3577_4xb64_in1k.py' in result.stdout
    assert not (tmp_path / 'dst.py').exists()
    state = torch.load(tmp_path / 'dst.pth', weights_only=True)['state_dict']
    assert state['backbone.layer2.0.eca.conv.weight'].shape == (1, 1, 5)


def test_reports_what_changed_meaning_in_a_detector(tmp_path):
    torch.save(dict(state_dict=detector('retinanet', (3, 3, 7, 7))), tmp_path / 'src.pth')
    result = run_tool(tmp_path, TOOL, 'src.pth', 'dst.pth', '--dry-run')
    assert result.returncode == 0, result.stderr
    assert 'box, anchor and RoIAlign conventions' in result.stdout
    assert 'dst.py changes configs/retinanet/retinanet_eca-r50_fpn_4xb2-1x_coco.py' in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != '.') == ['src.pth']
