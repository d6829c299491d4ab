"""Kernel sizes are read from the configs, and drawn with their results."""
from copy import deepcopy

import pytest

from eca_mm.utils.errors import UserError
from eca_mm.visualization.kernel_sweep import SweptRun, draw_kernel_sweep, swept
from eca_mm.visualization.runs import read_run
from tests.support.logs import CLASSIFIER, write_start


@pytest.mark.parametrize('backbone, network, kernel', [
    (dict(type='ECAResNet', depth=50, kernel_size=7), 'ResNet-50', 7),
    (dict(type='ECAResNet', depth=50), 'ResNet-50', 'adaptive'),
    (dict(type='ECAResNet', depth=50, kernel_size=(5, 5, 5, 5)), 'ResNet-50', 5),
    (dict(type='ECAResNet', depth=101, kernel_size=(3, 3, 5, 7)), 'ResNet-101', '3-3-5-7'),
    (dict(type='ECAMobileNetV2', kernel_size=1), 'MobileNetV2', 1),
    (dict(type='AttentionResNet', depth=50, attention=dict(type='ECALayer', kernel_size=9)),
     'ResNet-50', 9),
    (dict(type='AttentionResNet', depth=50, attention=dict(type='SELayer')), 'ResNet-50', 'SE'),
    (dict(type='AttentionResNet', depth=50, attention=[
        None, dict(type='ECALayer', kernel_size=3), dict(type='ECALayer', kernel_size=5), None]),
     'ResNet-50', '3-5'),
    (dict(type='AttentionResNet', depth=50, attention=[
        None, None, [None, dict(type='GCBlock')], None]), 'ResNet-50', 'mixed'),
    (dict(type='mmdet.ResNet', depth=50, plugins=[dict(cfg=dict(type='ECALayer', kernel_size=5))]),
     'ResNet-50', 5),
    (dict(type='WithAttention', network=dict(type='ResNet', depth=50), attention=dict(
        type='ECALayer', kernel_size=5)), 'ResNet-50', 5),
    (dict(type='ResNet', depth=50), 'ResNet-50', 'no attention'),
])
def test_kernel_size_of_a_config(tmp_path, backbone, network, kernel):
    config = deepcopy(CLASSIFIER)
    config['model']['backbone'] = backbone
    write_start(tmp_path, 1, config, [
        dict(lr=.1, loss=1., step=5), {'accuracy/top1': 30., 'step': 1}])
    assert swept(read_run(str(tmp_path)), 'accuracy/top1') == SweptRun(network, kernel, 30)


def test_other_networks_are_refused(tmp_path):
    config = deepcopy(CLASSIFIER)
    config['model']['backbone'] = dict(type='VGG', depth=11)
    write_start(tmp_path, 1, config, [
        dict(lr=.1, loss=1., step=5), {'accuracy/top1': 30., 'step': 1}])
    with pytest.raises(UserError, match='backbone VGG'):
        swept(read_run(str(tmp_path)), 'accuracy/top1')


def test_lines_for_networks_and_baselines():
    runs = [SweptRun('ResNet-50', 5, 75.), SweptRun('ResNet-50', 3, 70.),
            SweptRun('ResNet-50', 3, 72.), SweptRun('ResNet-50', 'SE', 69.),
            SweptRun('MobileNetV2', 'SE', 78.), SweptRun('ResNet-50', 'adaptive', 76.)]
    ax, = draw_kernel_sweep(runs, 'accuracy/top1').axes
    lines = {container.get_label(): container.lines for container in ax.containers}
    assert list(lines) == ['ECA-ResNet-50, k fixed']
    data, caps, _ = lines['ECA-ResNet-50, k fixed']
    assert (list(data.get_xdata()), list(data.get_ydata())) == ([3, 5], [71, 75])
    assert [cap.get_ydata()[0] for cap in caps] == [70, 72]
    flat = {line.get_label(): line.get_ydata()[0] for line in ax.get_lines()
            if line.get_label() in ('ResNet-50, SE', 'ECA-ResNet-50, k adaptive')}
    assert flat == {'ResNet-50, SE': 69, 'ECA-ResNet-50, k adaptive': 76}
    with pytest.raises(UserError, match='one kernel size in all blocks'):
        draw_kernel_sweep(runs[3:4], 'accuracy/top1')
