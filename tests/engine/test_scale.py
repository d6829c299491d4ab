"""Evaluation in any number of processes is that of one process, figure by figure."""
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from eca_mm.engine.config import load_config
from tests.support import samples
from tests.support.processes import (
    free_port,
    run_script,
    run_tool,
    run_tool_in_processes,
)

# Seven divide by none of the numbers of processes, and eight processes have nothing for one.
IMAGES = 7
OUTPUTS = ('--work-dir', 'runs', '--out', 'predictions.pkl', '--overwrite')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A detector and a classifier with random weights, and seven images for each."""
    folder = tmp_path_factory.mktemp('scale')
    samples.draw_coco(folder / 'coco', IMAGES)
    samples.draw_classes(folder / 'classes', images=3)
    for left_over in ('red/2.png', 'blue/2.png'):
        (folder / 'classes' / left_over).unlink()
    for name, text, data in (('det', samples.DETECTION, 'coco'),
                             ('cls', samples.CLASSIFICATION, 'classes')):
        path = samples.write_config(folder / f'{name}.py', text, folder / data)
        config = load_config(str(path))
        torch.manual_seed(1)
        with DefaultScope.overwrite_default_scope(config.default_scope):
            model = MODELS.build(config.model)
        model.init_weights()
        torch.save(model.state_dict(), folder / f'{name}.pth')
    return folder


def outcome(folder):
    """Metrics and predictions of the last test run in a folder."""
    metrics = json.loads(max((folder / 'runs').glob('*/*.json')).read_text())
    for name in [name for name in metrics if 'time' in name]:
        del metrics[name]
    return metrics, pickle.loads((folder / 'predictions.pkl').read_bytes())


def check_equal(found, expected, tolerance):
    """Compare nested results; tensors may differ by the tolerance, nothing else may."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            check_equal(found[key], expected[key], tolerance)
    elif isinstance(expected, (list, tuple)):
        for one, other in zip(found, expected, strict=True):
            check_equal(one, other, tolerance)
    elif isinstance(expected, torch.Tensor):
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=0)
    else:
        assert found == expected


# Other images in a batch change the order in which a matrix product sums up, by the last bits.
CASES = {'det': ('det', 1, 0), 'cls': ('cls', 1, 0), 'cls-batches': ('cls', 3, 1e-5)}


@pytest.fixture(scope='module', params=CASES)
def single(request, folder):
    """Arguments of a test, its outcome in one process, and how near others have to be."""
    name, batch, tolerance = CASES[request.param]
    options = (*OUTPUTS, '--cfg-options', f'test_dataloader.batch_size={batch}')
    result = run_tool(folder, 'test.py', f'{name}.py', f'{name}.pth', *options)
    assert result.returncode == 0, result.stderr
    metrics, predictions = outcome(folder)
    assert metrics and len(predictions) == IMAGES
    return (f'{name}.py', f'{name}.pth'), options, (metrics, predictions), tolerance


def check_outcome(folder, single):
    *_, (metrics, predictions), tolerance = single
    found = outcome(folder)
    assert found[0] == metrics
    check_equal(found[1], predictions, tolerance)


@pytest.mark.parametrize(('world', 'launcher'), [
    (2, 'pytorch'), pytest.param(3, 'mpi', marks=pytest.mark.slow),
    pytest.param(4, 'slurm', marks=pytest.mark.slow),
    pytest.param(IMAGES + 1, 'pytorch', marks=pytest.mark.slow)])
def test_processes_evaluate_as_one_does(single, folder, world, launcher):
    files, options, *_ = single
    results = run_tool_in_processes(folder, world, 'test.py', *files, *options, launcher=launcher)
    assert [result.returncode for result in results] == [0] * world, results[0].stderr
    check_outcome(folder, single)


@pytest.mark.slow
def test_two_machines_of_two_processes_evaluate_as_one_does(single, folder):
    """Both of them this one: two torchrun agents that meet at one address."""
    files, options, *_ = single
    port = free_port()
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda rank: run_script(
            folder, 'dist_test.sh', *files, 2, *options, NNODES='2', NODE_RANK=rank,
            PORT=port, MASTER_ADDR='127.0.0.1'), '01'))
    assert [result.returncode for result in results] == [0, 0], results
    check_outcome(folder, single)


def test_mpi_needs_an_address_on_several_machines(folder):
    result = run_tool(folder, 'test.py', 'cls.py', 'cls.pth', '--launcher', 'mpi', **{
        f'OMPI_COMM_WORLD_{name}': number for name, number in (
            ('RANK', '0'), ('SIZE', '2'), ('LOCAL_RANK', '0'), ('LOCAL_SIZE', '1'))})
    assert result.returncode == 1
    assert 'mpirun -x MASTER_ADDR' in result.stderr and 'Traceback' not in result.stderr
