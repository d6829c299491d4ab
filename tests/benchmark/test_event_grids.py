"""The benchmark of voxel grids."""
import pytest

from eca_mm.benchmark.event_grids import ENTRIES, draw_events, measure_event_grids
from eca_mm.benchmark.steps import Settings
from eca_mm.utils.errors import UserError


def test_measures_every_form():
    report = measure_event_grids(None, Settings(batch=1, shape=(48, 64)), rounds=1, min_time=0,
                                 warmup=1)
    rates = report.figures['million_events_per_second']
    assert list(rates) == list(ENTRIES) and all(rate > 0 for rate in rates.values())
    assert report.figures['events'] == 10**6
    for name, seconds in report.figures['seconds'].items():
        assert rates[name] == pytest.approx(1 / seconds)
    assert '| numpy_rectified ' in report.markdown()


def test_draws_events_of_a_recording():
    events = draw_events(1000, 48, 64)
    assert (events.x.dtype, events.t.dtype) == ('uint16', 'int64')
    assert events.x.max() < 64 and events.y.max() < 48 and (events.t[1:] >= events.t[:-1]).all()
    assert draw_events(1000, 48, 64, rectified=True).x.dtype == 'float32'


def test_unknown_form():
    with pytest.raises(UserError, match="'cupy'; known are numpy"):
        measure_event_grids(['cupy'], Settings(shape=(48, 64)))
