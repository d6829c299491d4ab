"""PKU-DDD17-Car becomes annotation files and lists of its parts."""
import json

import pytest

from eca_mm.datasets import EventFrameDataset
from eca_mm.datasets.event_frame_ddd17 import convert_ddd17
from eca_mm.utils.errors import UserError
from tests.support.event_data import write_ddd17


@pytest.fixture()
def ddd17(tmp_path):
    write_ddd17(tmp_path, dict(train=['rec1487339175_1000', 'rec1487339175_1100'],
                               test_all=['rec1487842276_100', 'rec1487842276_200']))
    labels = tmp_path / 'labels'
    labels.mkdir()
    (labels / 'labels_filtered_train.csv').write_text(
        'rec1487339175_1000.npz,81,143,129,173,car\nrec1487339175_1100.npz,,,,,\n'
        'rec1487339175_9900.npz,1,1,9,9,car\n')
    (labels / 'labels_filtered_test_all.csv').write_text(
        'rec1487842276_100.npz,300,200,346,260,car\nrec1487842276_200.npz,0,0,30,30,car\n')
    (labels / 'labels_filtered_test_day.csv').write_text(
        'rec1487842276_200.npz,0,0,30,30,car\n')
    return tmp_path


def test_conversion(ddd17):
    report = convert_ddd17(ddd17, ddd17 / 'labels')
    assert report.frames == dict(train=2, test=2) and report.empty == dict(train=1, test=0)
    assert report.problems == {
        'labelled frames of train without frame or events, left out': 1}
    content = json.loads((ddd17 / 'annotations/ddd17_train.json').read_text())
    assert content['images'][0] == dict(
        id=1, file_name='images/train/aps_images/rec1487339175_1000.png', height=260, width=346,
        event_file='images/train/dvs_events/rec1487339175_1000.npz', view='frame',
        sequence='rec1487339175', event_window=None)
    assert (ddd17 / 'annotations/ddd17_day.txt').read_text() == 'rec1487842276_200\n'
    assert not (ddd17 / 'annotations/ddd17_night.txt').exists()
    dataset = EventFrameDataset(
        data_root=str(ddd17), ann_file='annotations/ddd17_train.json', test_mode=True,
        metainfo=dict(classes=('car', )), pipeline=[
            dict(type='LoadImage'), dict(type='LoadEvents'), dict(type='EventsToVoxelGrid'),
            dict(type='StackEvents')])
    assert dataset[1]['img'].shape == (260, 346, 8)


def test_refusals(ddd17):
    convert_ddd17(ddd17, ddd17 / 'labels')
    with pytest.raises(UserError, match='--overwrite'):
        convert_ddd17(ddd17, ddd17 / 'labels')
    with pytest.raises(UserError, match='no folder images'):
        convert_ddd17(ddd17 / 'labels', ddd17 / 'labels')
    with pytest.raises(UserError, match='cannot be read'):
        convert_ddd17(ddd17, ddd17, ddd17 / 'new')
    (ddd17 / 'labels/labels_filtered_train.csv').write_text('a.npz,1,1,9,9,car\n')
    with pytest.raises(UserError, match='recRECORDING_TIME'):
        convert_ddd17(ddd17, ddd17 / 'labels', ddd17 / 'new')
