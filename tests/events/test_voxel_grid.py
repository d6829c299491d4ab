"""The voxel grid follows its definition, in NumPy and PyTorch."""
import sys

import numpy as np
import pytest
import torch

from eca_mm.events import voxel_grid
from tests.support.events import plain_voxel_grid, random_events


def grids(x, y, t, polarity, *args, **kwargs):
    """The grid of both forms, compared with the plain loop."""
    expected = plain_voxel_grid(x, y, t, polarity, *args, **kwargs)
    found = voxel_grid(x, y, t, polarity, *args, **kwargs)
    tensors = [torch.from_numpy(np.asarray(v).astype(
        np.float64 if np.asarray(v).dtype.kind == 'f' else np.int64)) for v in (x, y, t, polarity)]
    on_cpu = voxel_grid(*tensors, *args, **kwargs)
    assert found.dtype == np.float64 and on_cpu.dtype == torch.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(on_cpu.numpy(), found)
    # With a gradient it is computed as on a GPU.
    in_torch = voxel_grid(tensors[0].double().requires_grad_(), *tensors[1:], *args, **kwargs)
    assert in_torch.dtype == torch.float64
    np.testing.assert_allclose(in_torch.detach().numpy(), expected, rtol=0, atol=1e-12)
    return found


@pytest.mark.parametrize('bins', [1, 2, 5, 9])
def test_whole_pixels(bins):
    events = random_events(800, 12, 17)
    grid = grids(events.x, events.y, events.t, events.polarity, bins, 12, 17)
    assert grid.shape == (bins, 12, 17) and grid.any()


@pytest.mark.parametrize('bins', [1, 5])
def test_fractions_and_the_edge(bins):
    rng = np.random.default_rng(1)
    x, y = rng.uniform(-2, 19, 900), rng.uniform(-2, 14, 900)
    x[:4], y[:4] = (-1, 17, 0, 16), (3.5, 3.5, -1, 12)
    x[4:7] = np.nan, np.inf, -np.inf
    events = random_events(900)
    grids(x, y, events.t, events.polarity, bins, 12, 17)


def test_whole_numbers_in_floats_outside_the_sensor():
    events = random_events(300, 20, 30)
    grids(events.x.astype(np.float32) - 4, events.y.astype(np.float32) - 4, events.t,
          events.polarity, 5, 12, 17)
    grids(events.x.astype(np.uint64), events.y.astype(np.int8), events.t, events.polarity, 5, 12,
          17)


@pytest.mark.parametrize('count', [0, 1])
def test_no_and_one_event(count):
    events = random_events(count, 4, 4)
    grid = grids(events.x, events.y, events.t, events.polarity, 5, 4, 4)
    assert np.abs(grid).sum() == count and np.abs(grid[0]).sum() == count


def test_equal_times_fall_into_the_first_bin():
    x, t = np.array([1, 2, 2]), np.array([7, 7, 7])
    grid = grids(x, x, t, np.array([1, 1, 0]), 5, 4, 4)
    assert grid[0, 1, 1] == 1 and not grid[1:].any() and grid[0, 2, 2] == 0


@pytest.mark.parametrize('polarity', [
    np.array([0, 1, 1, 0], np.uint8), np.array([-1, 1, 1, -1]), np.array([-1., 1., 1., -1.]),
    np.array([False, True, True, False])])
def test_all_ways_to_write_polarity(polarity):
    x = np.arange(4)
    grid = grids(x, x, np.array([0, 10, 20, 30]), polarity, 2, 4, 4)
    np.testing.assert_allclose(grid.sum(0).diagonal(), [-1, 1, 1, -1])


def test_window():
    events = random_events(500, 8, 8, start=10**10)
    grids(events.x, events.y, events.t, events.polarity, 5, 8, 8, t0=10**10 + 20_000,
          t1=10**10 + 70_000)
    grid = voxel_grid(events.x, events.y, events.t, events.polarity, 5, 8, 8, t0=0, t1=10)
    assert not grid.any()


def test_unsorted_and_unsigned_times():
    events = random_events(200, 8, 8)
    order = np.random.default_rng(0).permutation(200)
    grids(events.x[order], events.y[order], events.t[order].astype(np.uint32),
          events.polarity[order], 5, 8, 8)


def test_more_events_than_are_worked_on_at_once(monkeypatch):
    events = random_events(3000, 8, 8)
    arguments = events.x, events.y, events.t, events.polarity, 5, 8, 8
    expected = voxel_grid(*arguments)
    # The package has the function under the module's name.
    module = sys.modules['eca_mm.events.voxel_grid']
    monkeypatch.setattr(module, '_CHUNK', 700)
    np.testing.assert_allclose(voxel_grid(*arguments), expected, atol=1e-12)
    monkeypatch.setattr(module, '_HAS_FAST_ADD', False)
    np.testing.assert_allclose(voxel_grid(*arguments), expected, atol=1e-12)


def test_times_that_are_not_finite_are_left_out():
    x, t = np.arange(4), np.array([0., np.nan, 30., np.inf])
    grid = grids(x, x, t, np.ones(4), 5, 4, 4, t0=0, t1=30)
    np.testing.assert_array_equal(voxel_grid(x, x, t, np.ones(4), 5, 4, 4), grid)
    assert grid.sum() == 2 and grid[0, 0, 0] == grid[4, 2, 2] == 1
    assert not voxel_grid(x, x, np.full(4, np.nan), np.ones(4), 5, 4, 4).any()
    assert not voxel_grid(*(torch.full((4, ), torch.nan) for _ in range(4)), 5, 4, 4).any()


def test_gradient_of_places():
    x = torch.tensor([1.25, 2.5], dtype=torch.float64, requires_grad=True)
    grid = voxel_grid(x, torch.ones(2), torch.tensor([0, 10]), torch.tensor([1, 0]), 2, 4, 5)
    # What moves to the right by a pixel adds one column.
    grad, = torch.autograd.grad((grid.sum((0, 1)) * torch.arange(5)).sum(), x)
    assert grad.tolist() == [1, -1]


def test_half_precision_tensors():
    places = torch.tensor([1., 2.5])
    for kind in (torch.bfloat16, torch.float16):
        found = voxel_grid(places.to(kind), places.to(kind), torch.tensor([0, 10]), torch.ones(2),
                           2, 4, 5)
        assert found.dtype == torch.float64
        np.testing.assert_array_equal(found, voxel_grid(
            *(v.numpy() for v in (places, places)), np.array([0, 10]), np.ones(2), 2, 4, 5))


def test_bad_arguments():
    x = np.arange(3)
    with pytest.raises(ValueError, match='same length'):
        voxel_grid(x, x, x, x[:2], 5, 4, 4)
    with pytest.raises(ValueError, match='bins is 0'):
        voxel_grid(x, x, x, x, 0, 4, 4)
    with pytest.raises(ValueError, match='before t0'):
        voxel_grid(x, x, x, x, 5, 4, 4, t0=5, t1=4)
    for t0 in (np.nan, 'now', 10**400):
        with pytest.raises(ValueError, match='t0 is .* finite'):
            voxel_grid(x, x, x, x, 5, 4, 4, t0=t0)
    for bins in ('5', 5., np.nan, np.inf, None, True):
        with pytest.raises(ValueError, match='bins is .* positive integer'):
            voxel_grid(x, x, x, x, bins, 4, 4)
    for other in (x.astype(str), x.astype(complex), x.astype(object), x.astype('M8[us]'),
                  ['a', 'b', 'c']):
        with pytest.raises(ValueError, match='t has the type .* real numbers'):
            voxel_grid(x, x, other, x, 5, 4, 4)
    with pytest.raises(ValueError, match='real numbers'):
        voxel_grid(*[torch.ones(3, dtype=torch.complex64)] * 4, 5, 4, 4)
    for mixed in ((x, x, torch.arange(3), x), (torch.arange(3), x, x, x)):
        with pytest.raises(ValueError, match='all arrays or all tensors'):
            voxel_grid(*mixed, 5, 4, 4)


def test_lists():
    assert voxel_grid([1, 2], [1, 2], [0, 5], [1, 0], 2, 4, 4).sum() == 0
    assert not voxel_grid([], [], [], [], 2, 4, 4).any()
