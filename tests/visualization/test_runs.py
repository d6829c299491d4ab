"""Runs are read as they happened: resumed, restarted, killed."""
import pytest

from eca_mm.utils.errors import UserError
from eca_mm.visualization.runs import read_run
from tests.support.logs import CLASSIFIER, write_start


def train(*steps, loss=1.):
    return [dict(lr=.1, loss=loss, step=step) for step in steps]


def validation(step, ap):
    return {'coco/bbox_mAP': ap, 'time': .1, 'data_time': .1, 'step': step}


def test_epochs_are_placed_at_their_iterations(tmp_path):
    write_start(tmp_path, 1, CLASSIFIER, [
        *train(5, 10), validation(1, .1), *train(15, 20), validation(2, .2)])
    run = read_run(str(tmp_path))
    assert run.series('coco/bbox_mAP') == ([10, 20], [.1, .2])
    assert run.series('loss') == ([5, 10, 15, 20], [1] * 4)
    assert run.config.model.backbone.kernel_size == 3 and run.notes == []


def test_iterations_stay_what_they_are(tmp_path):
    write_start(tmp_path, 1, CLASSIFIER, [*train(50, 100), validation(117, .1)])
    assert read_run(str(tmp_path)).series('coco/bbox_mAP') == ([117], [.1])


def test_resumed_run_continues_at_its_checkpoint(tmp_path):
    write_start(tmp_path, 1, CLASSIFIER, [
        *train(5, 10), validation(1, .1), *train(15, 20), validation(2, .2), *train(25)])
    # A test, and a start that ended before its first record, come between.
    write_start(tmp_path, 2, CLASSIFIER, [])
    write_start(tmp_path, 3, CLASSIFIER, [validation(0, .9)])
    write_start(tmp_path, 4, CLASSIFIER, [
        *train(15, 20, loss=2.), validation(2, .3), *train(25, 30, loss=2.), validation(3, .4)],
        resume=True)
    run = read_run(str(tmp_path))
    assert run.series('loss') == ([5, 10, 15, 20, 25, 30], [1, 1, 2, 2, 2, 2])
    assert run.series('coco/bbox_mAP') == ([10, 20, 30], [.1, .3, .4])
    assert run.notes == []
    assert read_run(str(tmp_path / '20260101_000001')).series('coco/bbox_mAP')[1] == [.1, .2]


def test_start_from_the_beginning_replaces_what_was(tmp_path):
    write_start(tmp_path, 1, CLASSIFIER, [*train(5, 10), validation(1, .1)])
    write_start(tmp_path, 2, CLASSIFIER, train(10, loss=2.))
    run = read_run(str(tmp_path))
    assert run.series('loss') == ([10], [2])
    assert run.validations == [] and '20260101_000002 was not resumed' in run.notes[0]


def test_a_later_resume_from_an_earlier_iteration_replaces_what_came_after(tmp_path):
    write_start(tmp_path, 1, CLASSIFIER, [*train(10, 20, 30, 40, 50), validation(50, .1)])
    write_start(tmp_path, 2, CLASSIFIER, [*train(50, 60, 70, loss=2.), validation(70, .2)],
                resume=True)
    write_start(tmp_path, 3, CLASSIFIER, [
        *train(30, 40, 50, 60, 70, 80, 90, loss=3.), validation(90, .3)], resume=True)
    run = read_run(str(tmp_path))
    assert run.series('loss') == (list(range(10, 100, 10)), [1, 1] + [3] * 7)
    assert run.series('coco/bbox_mAP') == ([90], [.3]) and run.notes == []
    # A start that goes on from the second, not from the third: that branch is the run.
    write_start(tmp_path, 4, CLASSIFIER, train(80, loss=4.), resume=True)
    (tmp_path / '20260101_000003').rename(tmp_path / '20260101_000003_')
    write_start(tmp_path, 3, CLASSIFIER, train(30, 40, loss=3.), resume=True)
    (tmp_path / '20260101_000003_').rename(tmp_path.parent / f'{tmp_path.name}_old')
    run = read_run(str(tmp_path))
    assert run.series('loss') == (list(range(10, 90, 10)), [1] * 4 + [2] * 3 + [4])
    assert run.series('coco/bbox_mAP') == ([70], [.2])


def test_what_a_branch_that_was_given_up_had_reached_is_said(tmp_path):
    write_start(tmp_path, 1, CLASSIFIER, [*train(10, 20, 30, 40), validation(40, .1)])
    write_start(tmp_path, 2, CLASSIFIER, train(20, loss=2.), resume=True)
    run = read_run(str(tmp_path))
    assert run.series('loss') == ([10, 20], [1, 2]) and run.validations == []
    assert 'the start of 20260101_000001 had gone on to iteration 40' in run.notes[0]


@pytest.mark.parametrize('names', [(3, 1, 2), (2, 3, 1), (3, 2, 1), (1, 3, 2)])
def test_names_by_a_clock_that_was_set_back(tmp_path, names):
    write_start(tmp_path, names[0], CLASSIFIER, train(10, 20, 30))
    write_start(tmp_path, names[1], CLASSIFIER, train(30, 40, 50, 60, loss=2.), resume=True)
    write_start(tmp_path, names[2], CLASSIFIER, [*train(70, 80, 90, 100, loss=3.),
                                                 validation(100, .3)], resume=True)
    run = read_run(str(tmp_path))
    assert run.series('loss') == (list(range(10, 110, 10)), [1, 1] + [2] * 4 + [3] * 4)
    assert run.series('coco/bbox_mAP') == ([100], [.3]) and run.notes == []


def test_starts_under_a_clock_that_stands_still_share_a_folder(tmp_path):
    write_start(tmp_path, 1, CLASSIFIER, [*train(10, 20, 30), validation(30, .1)])
    write_start(tmp_path, 1, CLASSIFIER, [*train(20, 30, 40, loss=2.), validation(40, .2)],
                resume=True)
    run = read_run(str(tmp_path))
    assert run.series('loss') == ([10, 20, 30, 40], [1, 2, 2, 2])
    assert run.series('coco/bbox_mAP') == ([40], [.2])
    write_start(tmp_path, 1, CLASSIFIER, train(10, loss=3.))
    assert read_run(str(tmp_path)).series('loss') == ([10], [3])


def test_a_start_whose_beginning_is_lost(tmp_path):
    write_start(tmp_path, 1, CLASSIFIER, train(10, 20))
    write_start(tmp_path, 2, CLASSIFIER, train(90, 100, loss=2.), resume=True)
    run = read_run(str(tmp_path))
    assert run.series('loss') == ([10, 20, 90, 100], [1, 1, 2, 2])
    assert 'nothing is logged between iterations 20 and 90' in run.notes[0]


def test_last_or_best_result(tmp_path):
    write_start(tmp_path, 1, CLASSIFIER, [
        *train(5), validation(1, .4), *train(10), validation(2, .3)])
    run = read_run(str(tmp_path))
    assert (run.result('coco/bbox_mAP'), run.result('coco/bbox_mAP', best=True)) == (.3, .4)
    with pytest.raises(UserError, match='no accuracy/top1: its validations logged coco/bbox_mAP'):
        run.result('accuracy/top1')


def test_line_of_a_killed_process_is_passed_over_but_no_other(tmp_path):
    path = write_start(tmp_path, 1, CLASSIFIER, train(5, 10))
    with path.open('a') as stream:
        stream.write('{"lr": 0.1, "lo')
    assert read_run(str(tmp_path)).series('loss')[0] == [5, 10]
    with path.open('a') as stream:
        stream.write('\n{"lr": 0.1, "loss": 1.0, "step": 15}\n')
    with pytest.raises(UserError, match='broken in line 3'):
        read_run(str(tmp_path))
    path.write_text('{"lr": 0.1}\n{"step": 1}\n')
    with pytest.raises(UserError, match='line 1 has no step'):
        read_run(str(tmp_path))


def test_folders_without_a_run_are_named(tmp_path):
    with pytest.raises(UserError, match='does not exist'):
        read_run(str(tmp_path / 'nowhere'))
    with pytest.raises(UserError, match='not a work directory of a training'):
        read_run(str(tmp_path))
    path = write_start(tmp_path, 1, CLASSIFIER, [validation(1, .1)])
    with pytest.raises(UserError, match='no record of training'):
        read_run(str(tmp_path))
    path.write_text('{"lr": 0.1, "step": 1}\n')
    path.with_name('config.py').unlink()
    with pytest.raises(UserError, match='config.py cannot be read'):
        read_run(str(tmp_path))
