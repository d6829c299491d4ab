"""Frames and events stay together on their way to the network."""
import json
import pickle

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.dataset import Compose
from mmengine.registry import MODELS, init_default_scope
from torch.utils.data import DataLoader

from eca_mm.datasets import (
    EventFrameDataset,
    EventFramePreprocessor,
    EventsToVoxelGrid,
    LoadEvents,
    StackEvents,
)
from eca_mm.datasets.event_frame_scenes import FRAME_US, draw_event_scenes
from eca_mm.events import DSECEventFile, voxel_grid
from eca_mm.utils.errors import UserError

CLASSES = ('circle', 'square', 'triangle')
LOAD = [dict(type='LoadImage'), dict(type='LoadEvents'), dict(type='EventsToVoxelGrid'),
        dict(type='StackEvents'), dict(type='LoadAnnotations', with_bbox=True)]


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp('scenes') / 'data'
    report = draw_event_scenes(root, dict(train=2, test=1, dark=1), frames=8, height=64, width=80)
    assert report.frames == dict(train=16, test=8, dark=8)
    return root


def dataset(root, pipeline=LOAD, ann_file='annotations/train.json', **options):
    init_default_scope('mmdet')
    return EventFrameDataset(data_root=str(root), ann_file=ann_file, test_mode=True,
                             metainfo=dict(classes=CLASSES), pipeline=pipeline, **options)


def test_entries_and_map(scenes):
    data = dataset(scenes)
    entry = data.get_data_info(3)
    assert entry['event_path'] == f'{scenes}/train_000/events/left/events.h5'
    assert entry['view'] == 'distorted' and entry['rectify_map_path'] is None
    t0, t1 = entry['event_window']
    assert t1 - t0 == FRAME_US
    sample = data[3]
    events = DSECEventFile(entry['event_path'], 64, 80).slice(t0, t1)
    assert len(events) > 50
    grid = voxel_grid(events.x, events.y, events.t, events.polarity, 5, 64, 80, t0, t1)
    np.testing.assert_allclose(sample['img'][..., 3:], grid.transpose(1, 2, 0), atol=1e-5)
    assert sample['img'].shape == (64, 80, 8) and sample['img'].dtype == np.float32
    assert not {'events', 'voxels'} & sample.keys()


def test_shorter_window(scenes):
    whole = dataset(scenes)[3]['img'][..., 3:]
    steps = [dict(step) for step in LOAD]
    steps[2].update(bins=3, window_ms=20)
    short = dataset(scenes, steps)[3]['img'][..., 3:]
    assert short.shape[-1] == 3 and 0 < np.abs(short).sum() < np.abs(whole).sum()
    steps[2].update(window_ms=60)
    with pytest.raises(UserError, match='--window-ms 60'):
        dataset(scenes, steps)[3]


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_flip_moves_frame_voxels_and_boxes(scenes, direction):
    plain = dataset(scenes)[3]
    flipped = dataset(scenes, [*LOAD, dict(type='RandomFlip', prob=1., direction=direction)])[3]
    axes = dict(horizontal=(1, ), vertical=(0, ), diagonal=(0, 1))[direction]
    np.testing.assert_array_equal(flipped['img'], np.flip(plain['img'], axes))
    before, after = (sample['gt_bboxes'].numpy() for sample in (plain, flipped))
    expected = before.copy()
    if 1 in axes:
        expected[:, [0, 2]] = 80 - before[:, [2, 0]]
    if 0 in axes:
        expected[:, [1, 3]] = 64 - before[:, [3, 1]]
    np.testing.assert_allclose(after, expected, atol=1e-4)
    for part in (slice(0, 3), slice(3, 8)):
        assert np.abs(plain['img'][..., part]).sum() > 0


def test_resize_crop_pad_and_packing(scenes):
    steps = [*LOAD, dict(type='Resize', scale=(160, 128), keep_ratio=True),
             dict(type='RandomCrop', crop_size=(100, 120), allow_negative_crop=True),
             # OpenCV takes one number for any number of channels, mmcv makes a tuple of an integer.
             dict(type='Pad', size=(128, 128), pad_val=dict(img=0.)), dict(type='PackDetInputs')]
    sample = dataset(scenes, steps)[3]
    assert sample['inputs'].shape == (8, 128, 128)
    # mmdet's crop_size is (width, height).
    assert sample['inputs'][3:, :120, :100].any() and not sample['inputs'][:, 120:].any()


def test_workers_read_the_same(scenes):
    data = dataset(scenes)
    loaders = [DataLoader(data, batch_size=None, num_workers=n) for n in (0, 2)]
    for alone, shared in zip(*loaders, strict=True):
        np.testing.assert_array_equal(alone['img'], shared['img'])
    again = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(again[2]['img'], data[2]['img'])


def write(root, path, **changes):
    content = json.loads((root / 'annotations/train.json').read_text())
    content['images'][1].update(changes)
    path.write_text(json.dumps(content))
    return str(path)


@pytest.mark.parametrize(('changes', 'message'), [
    (dict(event_file=None), 'does not name a file'),
    (dict(event_file='events.bag'), 'neither .h5 nor .npz'),
    (dict(event_file='absent.h5'), 'do not exist'),
    (dict(event_file='../events.h5'), 'leads out of the data root'),
    (dict(event_window=None), 'no event_window'),
    (dict(event_window=[5, 5]), 'two times'), (dict(event_window='now'), 'two times'),
    (dict(view='side'), 'instead of one of'),
    (dict(view='rectified'), 'no rectify_map'),
    (dict(view='rectified', rectify_map='absent.h5'), 'do not exist')])
def test_bad_records(scenes, tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        dataset(scenes, ann_file=write(scenes, tmp_path / 'bad.json', **changes))


def test_window_of_another_recording(scenes, tmp_path):
    data = dataset(scenes, ann_file=write(scenes, tmp_path / 'a.json', event_window=[5, 50_005]))
    with pytest.raises(UserError, match='is it the recording of this frame'):
        data[1]


def test_published_grids(tmp_path):
    results = dict(event_path=str(tmp_path / 'a.npz'), event_window=None, view='frame', height=6,
                   width=7)
    grid = np.random.default_rng(0).normal(size=(5, 6, 7))
    np.savez_compressed(tmp_path / 'a.npz', grid)
    steps = Compose([LoadEvents(), EventsToVoxelGrid()])
    np.testing.assert_allclose(steps(dict(results))['voxels'], grid.transpose(1, 2, 0), rtol=1e-6)
    with pytest.raises(UserError, match='has 5 bins'):
        Compose([LoadEvents(), EventsToVoxelGrid(bins=3)])(dict(results))
    with pytest.raises(UserError, match='the size of its frame'):
        LoadEvents()(dict(results, height=7))
    np.savez(tmp_path / 'a.npz', other=grid)
    with pytest.raises(UserError, match="array 'arr_0'"):
        LoadEvents()(dict(results))
    (tmp_path / 'a.npz').write_bytes((tmp_path / 'a.npz').read_bytes()[:100])
    with pytest.raises(UserError, match="array 'arr_0'"):
        LoadEvents()(dict(results))
    np.save(tmp_path / 'a.npy', grid)
    (tmp_path / 'a.npy').rename(tmp_path / 'a.npz')
    with pytest.raises(UserError, match="array 'arr_0'"):
        LoadEvents()(dict(results))
    grid[0, 0, 0] = np.nan
    np.savez(tmp_path / 'a.npz', grid)
    with pytest.raises(UserError, match='NaN or infinite'):
        LoadEvents()(dict(results))


def test_steps_in_the_wrong_order():
    with pytest.raises(UserError, match='put LoadEvents before it'):
        EventsToVoxelGrid()(dict(event_window=(0, 50_000)))
    with pytest.raises(UserError, match='EventsToVoxelGrid'):
        StackEvents()(dict(img=np.zeros((6, 7, 3))))


@pytest.mark.parametrize('lacking', [
    'event_path', 'height', 'event_window', 'view', 'rectify_map_path'])
def test_samples_that_do_not_say_where_their_events_are(lacking):
    sample = dict(event_path='a.h5', event_window=(0, 50_000), view='rectified', height=6, width=7,
                  rectify_map_path='b.h5', img_path='a.png')
    for other in ({lacking: None}, {}):
        with pytest.raises(UserError, match=f"no '{lacking}' for a.png"):
            LoadEvents()({key: value for key, value in {**sample, **other}.items()
                          if other or key != lacking})


def test_frame_and_grid_of_different_sizes():
    with pytest.raises(UserError, match='7 x 6 pixels, but its events 6 x 6'):
        StackEvents()(dict(img=np.zeros((6, 7, 3)), voxels=np.zeros((6, 6, 5)), img_path='a.png'))
    grey = StackEvents()(dict(img=np.zeros((6, 7)), voxels=np.zeros((6, 7, 5))))
    assert grey['img'].shape == (6, 7, 6)


def test_bad_transform_arguments():
    for options in (dict(bins=0), dict(bins=2.5), dict(window_ms=0), dict(window_ms=float('inf')),
                    dict(window_ms='50'), dict(window_ms=None), dict(window_ms=True),
                    dict(bins='5')):
        with pytest.raises(ValueError, match='must be'):
            EventsToVoxelGrid(**options)


def batch(count=2, channels=8) -> dict:
    return dict(inputs=[torch.rand(channels, 10, 12) * 255 for _ in range(count)],
                data_samples=[DetDataSample() for _ in range(count)])


def test_statistics_by_stream():
    model = MODELS.build(dict(
        type='EventFramePreprocessor', mean=[1., 2., 3.], std=[4., 5., 6.], event_mean=.5,
        event_std=[1., 2., 3., 4., 5.], pad_size_divisor=16))
    data = batch()
    out = model(data)['inputs']
    assert out.shape == (2, 8, 16, 16) and not out[:, :, 10:].any()
    mean, std = torch.tensor([1., 2, 3] + 5 * [.5]), torch.tensor([4., 5, 6, 1, 2, 3, 4, 5])
    expected = (torch.stack(data['inputs']) - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(out[:, :, :10, :12], expected)


def test_only_frames_change_the_order_of_their_channels():
    data = batch()
    plain, turned = (EventFramePreprocessor([0.] * 3, [1.] * 3, bgr_to_rgb=turn)(data)['inputs']
                     for turn in (False, True))
    assert turned[:, :3].equal(plain[:, :3].flip(1)) and turned[:, 3:].equal(plain[:, 3:])


def test_frame_dropout():
    model = EventFramePreprocessor([9.] * 3, [1.] * 3, frame_dropout=.25)
    data = batch(400)
    out = model(data, True)['inputs']
    dropped = ~out[:, :3].flatten(1).any(1)
    assert 60 < dropped.sum() < 140
    assert out[:, 3:].equal(torch.stack(data['inputs'])[:, 3:])
    assert model(data, False)['inputs'][:, :3].flatten(1).any(1).all()


@pytest.mark.parametrize('options', [
    dict(std=[1.]), dict(std=[0.] * 3), dict(event_std=[1., 1.]), dict(frame_dropout=2.)])
def test_bad_statistics(options):
    with pytest.raises(ValueError, match='must'):
        EventFramePreprocessor(**dict(dict(mean=[0.] * 3, std=[1.] * 3), **options))


def test_wrong_number_of_channels():
    model = EventFramePreprocessor([0.] * 3, [1.] * 3)
    with pytest.raises(ValueError, match='3 channels of a frame and 5 bins'):
        model(batch(channels=3))


def test_dark_twin_has_the_same_events_and_boxes(scenes):
    test, dark = (dataset(scenes, ann_file=f'annotations/{name}.json') for name in ('test', 'dark'))
    for i in range(len(test)):
        assert test[i]['gt_bboxes'].numpy().tolist() == dark[i]['gt_bboxes'].numpy().tolist()
        np.testing.assert_array_equal(test[i]['img'][..., 3:], dark[i]['img'][..., 3:])
        assert not dark[i]['img'][..., :3].any()


def test_scenes_are_the_same_again_and_never_overwritten(scenes, tmp_path):
    draw_event_scenes(tmp_path / 'data', dict(train=1), frames=8, height=64, width=80)
    name = 'train_000/images/left/distorted/000005.png'
    assert (tmp_path / 'data' / name).read_bytes() == (scenes / name).read_bytes()
    with pytest.raises(UserError, match='exists already'):
        draw_event_scenes(tmp_path / 'data', dict(train=1))
