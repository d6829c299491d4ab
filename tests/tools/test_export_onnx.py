"""tools/deployment/export_onnx.py from the command line."""
import onnx
import onnxruntime
import pytest
import torch
from mmengine.config import Config

from eca_mm.analysis import build_model
from eca_mm.deploy.export import ONNX_BY_TORCH_EXPORT
from tests.support.processes import run_tool
from tests.support.randomize import randomize

TOOL = 'deployment/export_onnx.py'
CONFIG = """
default_scope = 'mmpretrain'
data_preprocessor = dict(mean=[1, 2, 3], std=[4, 5, 6], to_rgb=True)
model = dict(
    type='ImageClassifier', backbone=dict(type='ECAResNet', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=2, in_channels=512))
"""


@pytest.fixture
def folder(tmp_path):
    """Working directory with a config and a checkpoint."""
    (tmp_path / 'cls.py').write_text(CONFIG)
    model = randomize(build_model(Config.fromfile(tmp_path / 'cls.py')))
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(
        classes=('cat', 'dog')))), tmp_path / 'cls.pth')
    return tmp_path


def test_writes_onnx_and_prints_the_difference(folder):
    done = run_tool(folder, TOOL, 'cls.py', 'cls.pth', 'new/cls.onnx', '--fuse', '--shape', 64, 64)
    assert (done.returncode, done.stderr) == (0, '')
    assert '1 x 3 x 64 x 64: largest difference ' in done.stdout
    assert '2 x 3 x 49 x 64: largest difference ' in done.stdout
    assert 'Wrote new/cls.onnx, ' in done.stdout
    assert [path.name for path in (folder / 'new').iterdir()] == ['cls.onnx']
    session = onnxruntime.InferenceSession(str(folder / 'new/cls.onnx'))
    assert [output.name for output in session.get_outputs()] == ['logits']
    # Nothing that the ordinary form does not have, such as index arithmetic for channels_last.
    kinds = {node.op_type for node in onnx.load(folder / 'new/cls.onnx').graph.node}
    # In PyTorch's older exporter mmpretrain's neck looks the size of the batch up.
    of_the_batch = set() if ONNX_BY_TORCH_EXPORT else {'Gather', 'Shape'}
    assert not kinds & {'Gather', 'Range', 'Transpose', 'Shape'} - of_the_batch, kinds
    noted = session.get_modelmeta().custom_metadata_map
    assert noted['classes'] == '["cat", "dog"]'
    assert '"mean": [1, 2, 3]' in noted['preprocessing']


def test_keeps_what_exists(folder):
    (folder / 'out.pt').write_bytes(b'mine')
    arguments = (TOOL, 'cls.py', 'cls.pth', 'out.pt', '--format', 'torchscript', '--shape', 64, 64)
    refused = run_tool(folder, *arguments)
    assert refused.returncode == 1 and 'out.pt exists already; give --overwrite' in refused.stderr
    assert (folder / 'out.pt').read_bytes() == b'mine'
    assert run_tool(folder, *arguments, '--force').returncode == 0
    assert torch.jit.load(str(folder / 'out.pt'))(torch.zeros(5, 3, 80, 70))[0].shape == (5, 2)


@pytest.mark.parametrize('arguments, code, sentence', [
    ([], 2, 'config'),
    (['cls.py', 'cls.pth', 'o', '--format', 'tflite'], 2, 'invalid choice'),
    (['cls.py', 'cls.pth', 'o', '--shape', '64', 'x'], 2, "two positive integers, but got 'x'"),
    (['cls.py', 'cls.pth', 'o', '--images', '.'], 2, '--images needs --detector'),
    (['cls.py', 'cls.pth', 'o', '--detector'], 1, 'ImageClassifier has no form in ONNX here'),
    (['nowhere.py', 'cls.pth', 'o'], 1, 'nowhere.py'),
    (['cls.py', 'nowhere.pth', 'o'], 1, 'nowhere.pth'),
    (['cls.py', 'cls.pth', 'cls.pth'], 1, 'is the file to read'),
    (['cls.py', 'cls.pth', 'o', '--cfg-options', 'model.backbone.depth=34'], 1, 'does not fit'),
])
def test_wrong_arguments(folder, arguments, code, sentence):
    done = run_tool(folder, TOOL, *arguments)
    assert done.returncode == code and sentence in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (folder / 'o').exists()
