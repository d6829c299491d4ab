"""DSEC's labels become annotation files that say what they were made of."""
import json

import cv2
import h5py
import numpy as np
import pytest

from eca_mm.datasets import EventFrameDataset
from eca_mm.datasets.event_frame_dsec import Recording, convert_dsec, read_tracks
from eca_mm.datasets.event_frame_splits import CSV_SPLIT, DET_SPLIT
from eca_mm.events import Calibration, frame_map, warp_frame
from eca_mm.utils.errors import UserError
from tests.support.event_data import START, TRACKS, write_sequence, write_tracks

LABELS = """zurich_city_00_a/left/000000.npz,10,20,60,90,car
zurich_city_00_a/left/000000.npz,11,20,60,90,large_vehicle
zurich_city_00_a/left/000001.npz,,,,,
zurich_city_01_a/left/000002.npz,-5,20,60,90,person
zurich_city_01_e/left/000001.npz,600,400,700,500,car
zurich_city_01_e/left/000001.npz,10,10,11,40,person
zurich_city_01_e/left/000001.npz,650,10,660,40,person
zurich_city_04_a/left/000001.npz,1,1,20,20,car
"""


@pytest.fixture(scope='module')
def dsec(tmp_path_factory):
    root = tmp_path_factory.mktemp('dsec')
    for seed, name in enumerate(('train/zurich_city_00_a', 'zurich_city_01_a',
                                 'train/zurich_city_01_e')):
        write_sequence(root / name, seed=seed)
    (root / 'labels.csv').write_text(LABELS)
    return root


@pytest.fixture(scope='module')
def converted(dsec):
    return convert_dsec(dsec, [dsec / 'labels.csv'])


def read(path) -> dict:
    return json.loads(path.read_text())


def test_splits_are_the_published_ones():
    assert {part: len(names) for part, names in CSV_SPLIT.items()} == dict(train=33, val=3, test=5)
    assert {part: len(names) for part, names in DET_SPLIT.items()} == dict(train=41, val=6, test=13)
    for split in (CSV_SPLIT, DET_SPLIT):
        names = [name for part in split.values() for name in part]
        assert len(set(names)) == len(names)
    assert 'interlaken_00_g' in CSV_SPLIT['val'] and 'zurich_city_09_b' in CSV_SPLIT['test']


def test_report(converted):
    assert converted.frames == dict(train=2, val=1, test=1)
    assert converted.empty == dict(train=1, val=0, test=0)
    assert converted.boxes['train'] == dict(person=0, large_vehicle=1, car=1)
    assert dict(converted.problems) == {
        'pairs of boxes of two classes on one object, which stay': 1,
        'boxes with negative coordinates, clipped': 1,
        'boxes that leave the view, clipped': 1, 'boxes of one pixel, which stay': 1,
        'boxes outside of the view, left out': 1,
        'labelled frames of sequences that are missing': 1}
    assert len(converted.missing) == 41 - 3 and 'zurich_city_04_a' in converted.missing
    text = str(converted)
    assert 'train: 2 frames (1 empty), 2 boxes' in text and 'zurich_city_09_b' in text


def test_records(dsec, converted):
    content = read(dsec / 'annotations/dsec_test.json')
    image, = content['images']
    assert image == dict(
        id=1, file_name='train/zurich_city_01_e/images/left/rectified_events/000001.png',
        height=480, width=640, event_file='train/zurich_city_01_e/events/left/events.h5',
        view='rectified', sequence='zurich_city_01_e',
        event_window=[START + 50_000, START + 100_000],
        rectify_map='train/zurich_city_01_e/events/left/rectify_map.h5')
    assert [ann['bbox'] for ann in content['annotations']] == [
        [600, 400, 40, 80], [10, 10, 1, 30]]
    assert [c['name'] for c in content['categories']] == ['person', 'large_vehicle', 'car']
    assert [ann['category_id'] for ann in content['annotations']] == [3, 1]


def test_frames_are_warped(dsec, converted):
    folder = dsec / 'zurich_city_01_a'
    found = cv2.imread(str(folder / 'images/left/rectified_events/000002.png'))
    calibration = Calibration.read(folder / 'calibration/cam_to_cam.yaml')
    source = cv2.imread(str(folder / 'images/left/rectified/000002.png'))
    np.testing.assert_array_equal(found, warp_frame(source, frame_map(calibration, 'rectified')))


def test_nothing_is_overwritten(dsec, converted):
    before = (dsec / 'annotations/dsec_train.json').stat().st_mtime_ns
    with pytest.raises(UserError, match='exists already; give --overwrite'):
        convert_dsec(dsec, [dsec / 'labels.csv'])
    assert (dsec / 'annotations/dsec_train.json').stat().st_mtime_ns == before
    convert_dsec(dsec, [dsec / 'labels.csv'], overwrite=True)


def test_data_set_reads_it(dsec, converted):
    dataset = EventFrameDataset(
        data_root=str(dsec), ann_file='annotations/dsec_train.json', test_mode=True,
        metainfo=dict(classes=('person', 'large_vehicle', 'car')), pipeline=[
            dict(type='LoadImage'), dict(type='LoadEvents'), dict(type='EventsToVoxelGrid'),
            dict(type='StackEvents')])
    sample = dataset[0]
    assert sample['img'].shape == (480, 640, 8) and sample['img'].dtype == np.float32
    # The map moves all events by a quarter pixel, which shares each by four pixels.
    assert np.count_nonzero(sample['img'][..., 3:]) > 2 * 1300


def test_published_grids_and_frames(tmp_path):
    write_sequence(tmp_path / 'zurich_city_00_a')
    line = 'zurich_city_00_a/left/000001.npz,1,1,20,20,car\n'
    # Spreadsheets begin with a mark of the byte order and end lines in their own way.
    (tmp_path / 'labels.csv').write_bytes(
        ('\ufeff' + 2 * line + line.replace('01.n', '02.n')).replace('\n', '\r\n').encode())
    grid = tmp_path / 'events_npz/zurich_city_00_a/left/000001.npz'
    grid.parent.mkdir(parents=True)
    np.savez(grid, np.zeros((5, 480, 640), np.float32))
    image = tmp_path / 'transformed_images/zurich_city_00_a/images/left/rectified/000001.png'
    image.parent.mkdir(parents=True)
    cv2.imwrite(str(image), np.zeros((480, 640, 3), np.uint8))
    report = convert_dsec(tmp_path, [tmp_path / 'labels.csv'], npz='events_npz')
    assert report.problems == {'labelled frames without a voxel grid, left out': 1,
                               'boxes given twice, left out once': 1}
    record, = read(tmp_path / 'annotations/dsec_train.json')['images']
    assert record['event_file'] == 'events_npz/zurich_city_00_a/left/000001.npz'
    assert record['event_window'] is None and record['file_name'].startswith('transformed_images')


@pytest.mark.parametrize('reverse', [False, True])
def test_dsec_detection(tmp_path, reverse):
    write_sequence(tmp_path / 'test/thun_01_a', aligned=True)
    write_tracks(tmp_path / 'test/thun_01_a', [
        (0, -4, 5, 20, 30, 2), (2, 600, 400, 100, 100, 7), (2, 5, 5, 10, 20, 0),
        (9, 1, 1, 5, 5, 0)], reverse)
    report = convert_dsec(tmp_path)
    assert report.frames == dict(test=3) and report.empty == dict(test=1)
    assert report.problems['boxes at times without a frame, left out'] == 1
    assert len(report.missing) == 59
    content = read(tmp_path / 'annotations/dsec-det_test.json')
    assert len(content['categories']) == 8
    assert [(ann['image_id'], ann['bbox'], ann['category_id'], ann['track_id'], ann['confidence'])
            for ann in content['annotations']] == [
        (1, [0, 5, 16, 30], 3, 7, .5), (3, [600, 400, 40, 80], 8, 7, .5),
        (3, [5, 5, 10, 20], 1, 7, .5)]
    assert {image['view'] for image in content['images']} == {'distorted'}
    # Frames that are there already are taken as they are.
    assert content['images'][0]['file_name'] == 'test/thun_01_a/images/left/distorted/000000.png'


def test_window_before_the_recording(tmp_path):
    write_sequence(tmp_path / 'thun_01_a', aligned=True)
    times = tmp_path / 'thun_01_a/images/timestamps.txt'
    times.write_text(f'{START - 10**6}\n' + times.read_text().split('\n', 1)[1])
    write_tracks(tmp_path / 'thun_01_a', [(1, 5, 5, 10, 20, 0)])
    report = convert_dsec(tmp_path)
    assert report.frames == dict(test=2)
    assert report.problems['frames without events before them, left out'] == 1


def test_a_frame_in_two_files_of_labels(dsec, tmp_path):
    with pytest.raises(UserError, match='name every file once'):
        convert_dsec(dsec, [dsec / 'labels.csv'] * 2, tmp_path / 'out')


@pytest.mark.parametrize(('times', 'message'), [
    ('1 2\n3 4\n', 'cannot be read'), ('5\n5\n', 'do not ascend'), ('7\n3\n', 'do not ascend')])
def test_times_that_do_not_ascend(tmp_path, times, message):
    (tmp_path / 'thun_00_a/images').mkdir(parents=True)
    (tmp_path / 'thun_00_a/images/timestamps.txt').write_text(times)
    with pytest.raises(UserError, match=message):
        _ = Recording(tmp_path, 'thun_00_a').times


def test_bad_arguments(dsec):
    for options in (dict(view='frame'), dict(window_ms=0), dict(window_ms='5'),
                    dict(window_ms=float('nan'))):
        with pytest.raises(ValueError, match='positive number'):
            convert_dsec(dsec, [dsec / 'labels.csv'], **options)


@pytest.mark.parametrize(('line', 'message'), [
    ('a,b\n', 'line 1'), ('zurich_city_00_a/left/000000.npz,1,2,3,x,car\n', 'line 1'),
    ('zurich_city_00_a/left/000000.npz,1,2,3,4,tree\n', 'one of the classes person'),
    ('elsewhere/left/000000.npz,1,2,3,4,car\n', 'a sequence of DSEC'),
    ('zurich_city_00_a/left/000009.npz,1,2,3,4,car\n', '000009.png is missing'),
    ('', 'no line')])
def test_bad_labels(dsec, tmp_path, line, message):
    (tmp_path / 'labels.csv').write_text(line)
    with pytest.raises(UserError, match=message):
        convert_dsec(dsec, [tmp_path / 'labels.csv'], tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('name', [
    'zurich_city_00_a/images/left/rectified/000001.png',
    'zurich_city_00_a/images/left/rectified_events/000001.png',
    'transformed_images/zurich_city_00_a/images/left/rectified/000001.png'])
def test_frames_of_another_size(tmp_path, name):
    write_sequence(tmp_path / 'zurich_city_00_a', frames=2)
    (tmp_path / 'labels.csv').write_text('zurich_city_00_a/left/000001.npz,1,1,20,20,car\n')
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(tmp_path / name), np.zeros((64, 48, 3), np.uint8))
    with pytest.raises(UserError, match='has 48 x 64 pixels, but DSEC has'):
        convert_dsec(tmp_path, [tmp_path / 'labels.csv'])


def test_a_recording_whose_ends_are_not_in_order(tmp_path):
    write_sequence(tmp_path / 'thun_01_a', frames=2, aligned=True)
    write_tracks(tmp_path / 'thun_01_a', [(1, 5, 5, 10, 20, 0)])
    with h5py.File(tmp_path / 'thun_01_a/events/left/events.h5', 'r+') as file:
        file['events/t'][...] = file['events/t'][()][::-1]
    with pytest.raises(UserError, match='its times are not sorted'):
        convert_dsec(tmp_path)


def test_no_frame_is_left(tmp_path):
    write_sequence(tmp_path / 'zurich_city_00_a', frames=2)
    (tmp_path / 'labels.csv').write_text('zurich_city_00_a/left/000001.npz,1,1,20,20,car\n')
    with pytest.raises(UserError, match='is left .* 1 labelled frames without a voxel grid'):
        convert_dsec(tmp_path, [tmp_path / 'labels.csv'], npz='absent')


def test_bad_tracks(tmp_path):
    write_tracks(tmp_path, [(0, 1, 1, 2, 2, 8)])
    path = tmp_path / 'object_detections/left/tracks.npy'
    with pytest.raises(UserError, match='class_id 8'):
        read_tracks(path)
    np.save(path, np.zeros(3, [('t', '<u8')]))
    with pytest.raises(UserError, match="no field 'x'"):
        read_tracks(path)
    np.save(path, np.zeros(3))
    with pytest.raises(UserError, match="no field 't'"):
        read_tracks(path)
    np.save(path, np.zeros((2, 3), TRACKS))
    with pytest.raises(UserError, match='not one list of boxes'):
        read_tracks(path)
    path.write_bytes(b'no array')
    with pytest.raises(UserError, match='cannot be read'):
        read_tracks(path)


def test_no_data(tmp_path):
    with pytest.raises(UserError, match='none of the 60 sequences'):
        convert_dsec(tmp_path)
    with pytest.raises(UserError, match='does not exist'):
        convert_dsec(tmp_path / 'absent')
    with pytest.raises(UserError, match='--labels'):
        convert_dsec(tmp_path, npz='grids')
