"""Several processes do what one would: tools/dist_train.sh against a run in one process."""
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope

from eca_mm.compat import load_checkpoint_file
from eca_mm.engine.config import load_config
from tests.support import samples
from tests.support.processes import ROOT, free_port, run_script, run_tool

IMAGES, JOINT_BATCH = 12, 4

# Samplers of proposals draw from the global generator; each rank gets its own per step.
SEEDED = """
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class SeedByRank(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        torch.manual_seed(100 * runner.iter + get_rank())
"""
MORE = """
custom_imports['imports'].append('seeded')
custom_hooks.append(dict(type='SeedByRank'))
load_from = 'initial.pth'
"""

# Four processes on one machine, and on two (both this one): two agents that meet at one address.
LARGER = [pytest.param(1, 4, marks=pytest.mark.slow), pytest.param(2, 4, marks=pytest.mark.slow)]


@pytest.fixture
def train(tmp_path):
    """A function that trains in several processes and returns the weights."""
    (tmp_path / 'seeded.py').write_text(SEEDED)

    def run(config, nodes, world):
        path = f'{tmp_path}{os.pathsep}{ROOT}'
        port = {} if nodes == 1 else {'PORT': free_port(), 'MASTER_ADDR': '127.0.0.1'}
        with ThreadPoolExecutor() as pool:
            results = list(pool.map(lambda node: run_script(
                tmp_path, 'dist_train.sh', config, world // nodes, '--cfg-options',
                f'train_dataloader.batch_size={JOINT_BATCH // world}', PYTHONPATH=path,
                NNODES=str(nodes), NODE_RANK=str(node), **port), range(nodes)))
        for result in results:
            assert result.returncode == 0, result.stderr[-3000:]
        return load_checkpoint_file(str(tmp_path / 'work_dirs/config/epoch_1.pth'))['state_dict']
    return run


def build(config):
    """Build a config's model in this process, with random weights."""
    torch.manual_seed(1)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
    model.init_weights()
    return model


def check_equal(found, expected, initial):
    moved = max((expected[name] - weight).abs().max() for name, weight in initial.items()
                if weight.is_floating_point())
    assert moved > 1e-3
    for name, weight in expected.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-5, atol=1e-5, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(('nodes', 'world'), [(1, 2), *LARGER])
def test_classification_equals_the_joint_batch(tmp_path, train, nodes, world):
    samples.draw_classes(tmp_path / 'classes', images=IMAGES // len(samples.CLASSES))
    config = samples.write_config(
        tmp_path / 'config.py', samples.CLASSIFICATION, tmp_path / 'classes',
        "\nload_from = 'initial.pth'\n")
    model = build(load_config(str(config)))
    torch.save(model.state_dict(), tmp_path / 'initial.pth')

    single = run_tool(tmp_path, 'train.py', config, '--work-dir', 'single', '--cfg-options',
                      f'train_dataloader.batch_size={JOINT_BATCH}')
    assert single.returncode == 0, single.stderr
    expected = load_checkpoint_file(str(tmp_path / 'single/epoch_1.pth'))['state_dict']

    (tmp_path / 'seeded.py').unlink()
    check_equal(train(config, nodes, world), expected, model.state_dict())


@pytest.mark.parametrize(
    ('nodes', 'world'), [pytest.param(1, 2, marks=pytest.mark.slow), *LARGER])
def test_faster_rcnn_equals_averaged_gradients(tmp_path, train, nodes, world):
    samples.draw_coco(tmp_path / 'coco', IMAGES)
    path = samples.write_config(
        tmp_path / 'config.py', samples.DETECTION, tmp_path / 'coco', MORE)
    plain = samples.write_config(tmp_path / 'plain.py', samples.DETECTION, tmp_path / 'coco')
    config = load_config(str(plain))
    model = build(config)
    initial = {name: weight.clone() for name, weight in model.state_dict().items()}
    torch.save(initial, tmp_path / 'initial.pth')

    with DefaultScope.overwrite_default_scope(config.default_scope):
        data = DATASETS.build(config.train_dataloader.dataset)
    settings = {key: value for key, value in config.optim_wrapper.optimizer.items()
                if key != 'type'}
    optimizer = torch.optim.SGD(model.parameters(), **settings)
    model.train()
    for step in range(IMAGES // JOINT_BATCH):
        optimizer.zero_grad()
        for rank in range(world):
            torch.manual_seed(100 * step + rank)
            # The sampler deals the images to the ranks like cards.
            first = step * JOINT_BATCH + rank
            batch = pseudo_collate([data[i] for i in range(
                first, (step + 1) * JOINT_BATCH, world)])
            losses = model(**model.data_preprocessor(batch, training=True), mode='loss')
            (model.parse_losses(losses)[0] / world).backward()
        optimizer.step()

    check_equal(train(path, nodes, world), model.state_dict(), initial)
