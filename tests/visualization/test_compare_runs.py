"""COCO results of runs, as they were logged and as they are drawn."""
import pytest

from eca_mm.utils.errors import UserError
from eca_mm.visualization.compare_runs import (
    check_scalars,
    coco_results,
    differing_ends,
    draw_comparison,
    number,
    validation_results,
)
from eca_mm.visualization.runs import read_run
from tests.support.logs import CLASSIFIER, write_start


def coco(kind, *values):
    names = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
    return {f'coco/{kind}_{name}': value for name, value in zip(names, values, strict=True)}


@pytest.fixture
def runs(tmp_path):
    """One run with boxes and masks, and one with boxes alone."""
    train = [dict(lr=.1 / step, loss=10. / step, step=step) for step in (5, 10, 15, 20)]
    write_start(tmp_path / 'a', 1, CLASSIFIER, [
        *train[:2], dict(**coco('bbox', .4, .5, .4, .1, .2, .3), step=1,
                         **coco('segm', .3, .5, .4, .1, .2, .3)),
        *train[2:], dict(**coco('bbox', .3, .6, .2, -1, .1, .5), step=2,
                         **coco('segm', .35, .5, .4, .1, .2, .3))])
    write_start(tmp_path / 'b', 1, CLASSIFIER, [
        *train, dict(**coco('bbox', .25, .5, .2, 0, .2, .3), step=2)])
    return {name: read_run(str(tmp_path / name)) for name in 'ab'}


def test_last_or_best_validation(runs):
    last, best = coco_results(runs), coco_results(runs, best=True)
    assert last['bbox']['a'] == pytest.approx(
        {'AP': 30, 'AP50': 60, 'AP75': 20, 'APS': None, 'APM': 10, 'APL': 50})
    assert last['bbox']['b']['APS'] == 0
    assert best['bbox']['a']['AP'] == 40
    # One validation for both, not the best of each.
    assert (best['segm']['a']['AP'], last['segm']['a']['AP']) == (30, 35)
    assert list(last['segm']) == ['a']


def test_runs_of_different_length_are_reported(runs):
    assert differing_ends(runs) == []
    del runs['a'].validations[1]
    assert 'a 10, b 20' in differing_ends(runs)[0]


def test_page_shows_what_was_logged(runs):
    figure = draw_comparison(runs, coco_results(runs))
    losses, rates, ap, boxes, masks = figure.axes
    assert list(losses.get_lines()[0].get_ydata()) == [2, 1, pytest.approx(2 / 3), .5]
    assert list(rates.get_lines()[1].get_xdata()) == [5, 10, 15, 20]
    assert list(ap.get_lines()[0].get_ydata()) == [40, 30]
    assert [bar.get_height() for bar in boxes.containers[0]] == pytest.approx(
        [30, 60, 20, 0, 10, 50])
    assert [text.get_text() for text in boxes.texts[:4]] == ['30.0', '60.0', '20.0', '-']
    assert len(masks.containers) == 2


def test_run_without_ap_is_named(tmp_path):
    train = dict(lr=.1, loss=1., step=5)
    write_start(tmp_path / 'none', 1, CLASSIFIER, [train])
    with pytest.raises(UserError, match='none has no COCO AP .* was not validated'):
        coco_results({'a': read_run(str(tmp_path / 'none'))})
    write_start(tmp_path / 'cls', 1, CLASSIFIER, [train, {'accuracy/top1': 1., 'step': 1}])
    with pytest.raises(UserError, match='its validations logged accuracy/top1'):
        coco_results({'a': read_run(str(tmp_path / 'cls'))})


@pytest.fixture
def classifiers(tmp_path):
    """Two classifiers, one of which logged its validation loss too."""
    train = [dict(lr=.1, loss=10. / step, step=step) for step in (5, 10, 15, 20)]
    write_start(tmp_path / 'a', 1, CLASSIFIER, [
        *train[:2], {'accuracy/top1': 60., 'accuracy/top5': 80., 'loss': 3., 'step': 1},
        *train[2:], {'accuracy/top1': 55., 'accuracy/top5': 90., 'loss': 4., 'step': 2}])
    write_start(tmp_path / 'b', 1, CLASSIFIER, [
        *train, {'accuracy/top1': 70., 'accuracy/top5': 85., 'step': 2}])
    return {name: read_run(str(tmp_path / name)) for name in 'ab'}


def test_classifiers_are_compared_by_what_they_logged(classifiers):
    last = validation_results(classifiers)['metrics']
    assert last == {'a': {'accuracy/top1': 55, 'accuracy/top5': 90, 'loss': 4},
                    'b': {'accuracy/top1': 70, 'accuracy/top5': 85, 'loss': None}}
    assert validation_results(classifiers, best=True)['metrics']['a']['accuracy/top1'] == 60
    figure = draw_comparison(classifiers, {'metrics': last})
    losses, rates, top1, bars = figure.axes
    assert list(losses.get_lines()[0].get_ydata()) == [2, 1, pytest.approx(2 / 3), .5]
    assert list(top1.get_lines()[0].get_ydata()) == [60, 55]
    assert top1.get_ylabel() == 'accuracy/top1'
    assert [text.get_text() for text in bars.texts] == ['55.0', '90.0', '4.0', '70.0', '85.0', '-']
    assert (number(.25), number(0.)) == ('0.250', '0.0')


def test_runs_of_other_kinds_have_nothing_to_compare(classifiers, runs, tmp_path):
    with pytest.raises(UserError, match='no COCO AP'):
        validation_results({'cls': classifiers['a'], 'det': runs['a']})
    write_start(tmp_path / 'c', 1, CLASSIFIER, [
        dict(lr=.1, loss=1., step=5), {'pascal_voc/mAP': .5, 'step': 1}])
    with pytest.raises(UserError, match='no metric in common .*pascal_voc/mAP'):
        validation_results({'b': classifiers['b'], 'c': read_run(str(tmp_path / 'c'))})


def test_curves_of_any_scalar(classifiers):
    names = ['val/loss', 'loss', 'accuracy/top5', 'lr']
    assert check_scalars(classifiers, names) == ['val/loss was not logged in b.']
    axes = draw_comparison(classifiers, {}, names).axes[2:]
    assert [ax.get_ylabel() for ax in axes] == names[:3] + ['lr']
    assert [list(ax.get_lines()[0].get_ydata()) for ax in axes[:3]] == [
        [3, 4], [2, 1, pytest.approx(2 / 3), .5], [80, 90]]
    with pytest.raises(UserError, match="No run has logged 'acuracy/top'; the nearest names are "
                                        'accuracy/top5, accuracy/top1'):
        check_scalars(classifiers, ['acuracy/top'])
    with pytest.raises(UserError, match='there are lr, loss, accuracy/top1'):
        check_scalars(classifiers, ['xyz'])
