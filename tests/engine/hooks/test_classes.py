"""Runs whose parts mean different classes end before the first iteration."""
import json

import onnx
import pytest
import torch

from eca_mm.engine import CheckedRunner
from eca_mm.engine.config import load_config
from eca_mm.utils.errors import UserError
from tests.support import samples
from tests.support.processes import run_tool

ORDER = ('blue', 'green', 'red')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    samples.draw_coco(folder / 'coco')
    # Validation needs the names, in an order that is not the file's.
    text = samples.DETECTION.replace("('red', 'green', 'blue')", str(ORDER))
    samples.write_config(folder / 'det.py', text, folder / 'coco', """
val_dataloader, val_evaluator, val_cfg = test_dataloader, test_evaluator, dict()
""")
    return folder


@pytest.mark.parametrize(('options', 'sentence'), [
    (('model.roi_head.bbox_head.num_classes=1', ), 'roi_head.bbox_head has num_classes=1'),
    (('val_evaluator.type=CocoMetric', ), 'CocoMetric numbers labels by the file'),
    (('train_dataloader.dataset.type=CocoDataset', ), 'CocoDataset numbers labels by the file'),
    (("val_dataloader.dataset.metainfo.classes=('red','green','blue')", ),
     "The classes of the val data are ('red', 'green', 'blue')"),
])
def test_nothing_is_trained(folder, options, sentence):
    done = run_tool(folder, 'train.py', 'det.py', '--work-dir', 'refused', '--cfg-options',
                    *options)
    assert done.returncode == 1 and sentence in done.stderr and 'Traceback' not in done.stderr
    assert 'Epoch(train)' not in done.stdout


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp('classifier')
    samples.draw_classes(folder / 'classes', 1)
    return samples.write_config(folder / 'cls.py', samples.CLASSIFICATION, folder / 'classes', """
val_dataloader, val_evaluator, val_cfg = test_dataloader, test_evaluator, dict()
""")


@pytest.mark.parametrize('split', ['val', 'test'])
def test_an_evaluation_without_training_is_checked_too(classifier, tmp_path, split):
    def runner(**options):
        cfg = load_config(str(classifier), options)
        cfg.update(work_dir=str(tmp_path), log_level='ERROR', experiment_name=str(options))
        return CheckedRunner.from_cfg(cfg)

    with pytest.raises(UserError, match='head has num_classes=4'):
        getattr(runner(**{'model.head.num_classes': 4}), split)()
    state = runner().model.state_dict()
    for key in ('classes', 'CLASSES', 'palette'):
        path = str(tmp_path / 'trained.pth')
        torch.save({'state_dict': state, 'meta': {'dataset_meta': {key: ORDER[::-1]}}}, path)
        tested = runner(load_from=path)
        if key == 'palette':
            assert getattr(tested, split)()
        else:
            with pytest.raises(UserError, match=f'classes of the {split} data .* was trained on'):
                getattr(tested, split)()


@pytest.mark.slow
def test_names_stay_with_their_objects_from_the_data_to_the_export(folder):
    done = run_tool(folder, 'train.py', 'det.py', '--work-dir', 'run')
    assert done.returncode == 0, done.stderr
    checkpoint = torch.load(folder / 'run/epoch_1.pth', weights_only=False)
    assert tuple(checkpoint['meta']['dataset_meta']['classes']) == ORDER
    # A network that finds the second class in everything.
    state = checkpoint['state_dict']
    state['roi_head.bbox_head.fc_cls.weight'].zero_()
    state['roi_head.bbox_head.fc_cls.bias'].copy_(torch.tensor([0., 0., 9., 0.]))
    torch.save(checkpoint, folder / 'red.pth')
    done = run_tool(folder, 'demo.py', 'coco/images/001.jpg', 'det.py', 'red.pth', '--out-dir',
                    'pictures')
    assert done.returncode == 0, done.stderr
    assert 'red' in done.stdout and 'blue' not in done.stdout
    done = run_tool(folder, 'deployment/export_onnx.py', 'det.py', 'red.pth', 'red.onnx',
                    '--shape', '64', '64')
    assert done.returncode == 0, done.stderr
    metadata = {entry.key: entry.value for entry in onnx.load(folder / 'red.onnx').metadata_props}
    assert json.loads(metadata['classes']) == list(ORDER)
    # The checkpoint must not be tested on data of another order.
    done = run_tool(folder, 'test.py', 'det.py', 'red.pth', '--cfg-options',
                    "test_dataloader.dataset.metainfo.classes=('red','green','blue')")
    assert done.returncode == 1 and 'the checkpoint was trained on' in done.stderr
