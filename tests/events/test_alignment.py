"""Where points at infinity land, and what calibrations must be like."""
import cv2
import h5py
import numpy as np
import pytest
import yaml

from eca_mm.events import (
    Calibration,
    Events,
    frame_map,
    read_rectify_map,
    rectify_events,
    voxel_grid,
    warp_frame,
)
from eca_mm.utils.errors import UserError
from tests.support.events import write_calibration


def project(k: list, ray: np.ndarray) -> np.ndarray:
    fx, fy, cx, cy = k
    return np.stack([fx * ray[..., 0] / ray[..., 2] + cx, fy * ray[..., 1] / ray[..., 2] + cy], -1)


@pytest.fixture()
def cameras(tmp_path):
    """Calibration file's content, its reading, and directions in the event camera."""
    content = write_calibration(tmp_path / 'cam_to_cam.yaml')
    rng = np.random.default_rng(0)
    rays = np.concatenate([rng.uniform(-.4, .4, (50, 2)), np.ones((50, 1))], 1)
    return content, Calibration.read(tmp_path / 'cam_to_cam.yaml'), rays


def place_in_both(content: dict, rays: np.ndarray) -> tuple:
    """Where points in these directions, infinitely far, are seen by the rectified cameras."""
    outer = {name: np.array(value) for name, value in content['extrinsics'].items()}
    event = project(content['intrinsics']['camRect0']['camera_matrix'],
                    rays @ outer['R_rect0'].T)
    frame = project(content['intrinsics']['camRect1']['camera_matrix'],
                    rays @ outer['T_10'][:3, :3].T @ outer['R_rect1'].T)
    return event, frame


def test_point_at_infinity_by_the_homography(cameras):
    content, calibration, rays = cameras
    event, frame = place_in_both(content, rays)
    found = np.concatenate([frame, np.ones((50, 1))], 1) @ calibration.homography.T
    np.testing.assert_allclose(found[:, :2] / found[:, 2:], event, rtol=0, atol=1e-6)


def test_point_at_infinity_in_the_distorted_view(cameras):
    """Pixels of the sensor look where the map of its lens and the homography lead."""
    content, calibration, rays = cameras
    event, frame = place_in_both(content, rays)
    rectify = np.zeros((5, 10, 2))
    rectify.reshape(-1, 2)[:] = event
    places = frame_map(calibration, 'distorted', rectify, 5, 10)
    np.testing.assert_allclose(places.reshape(-1, 2), frame, rtol=0, atol=1e-6)


def test_lens_of_the_sensor(cameras):
    """The whole way with OpenCV's own model of the lens: sensor, rectified view, frame."""
    content, calibration, rays = cameras
    sensor = content['intrinsics']['cam0']
    fx, fy, cx, cy = sensor['camera_matrix']
    k = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.]])
    pixels = np.stack(np.meshgrid(np.arange(640), np.arange(480)), -1).reshape(-1, 1, 2).astype(
        float)
    new = calibration.k_event
    rectify = cv2.undistortPoints(pixels, k, np.array(sensor['distortion_coeffs']),
                                  R=calibration.r_event, P=new).reshape(480, 640, 2)
    places = frame_map(calibration, 'distorted', rectify)
    # Directions of a few pixels of the sensor, by iterating the lens model to the end.
    chosen = np.array([[100, 50], [320, 240], [600, 430]])
    rays = cv2.undistortPoints(chosen.reshape(-1, 1, 2).astype(float), k,
                               np.array(sensor['distortion_coeffs'])).reshape(-1, 2)
    rays = np.concatenate([rays, np.ones((3, 1))], 1)
    _, frame = place_in_both(content, rays)
    np.testing.assert_allclose(places[chosen[:, 1], chosen[:, 0]], frame, rtol=0, atol=1e-6)


def test_warped_frame_meets_the_events(cameras):
    """A far light is drawn in the frame and seen as an event; both are at one place."""
    content, calibration, _ = cameras
    event, frame = place_in_both(content, np.array([[.1, -.05, 1.]]))
    picture = np.zeros((1080, 1440), np.float32)
    cv2.circle(picture, tuple(np.rint(frame[0] * 16).astype(int)), 8 * 16, 1., -1, cv2.LINE_AA, 4)
    warped = warp_frame(picture, frame_map(calibration, 'rectified'))
    weights = warped / warped.sum()
    centre = [(weights * np.arange(640)).sum(), (weights * np.arange(480)[:, None]).sum()]
    np.testing.assert_allclose(centre, event[0], atol=.1)
    assert warp_frame(np.zeros((1080, 1440, 3), np.uint8), frame_map(
        calibration, 'rectified')).shape == (480, 640, 3)


def test_rectified_events_keep_their_weight():
    rectify = np.stack(np.meshgrid(np.arange(8.) + .25, np.arange(6.) + .5), -1).astype(np.float32)
    events = Events(np.array([2]), np.array([1]), np.array([5]), np.array([1]))
    moved = rectify_events(events, rectify)
    assert (moved.x[0], moved.y[0]) == (2.25, 1.5)
    grid = voxel_grid(moved.x, moved.y, moved.t, moved.polarity, 1, 6, 8)[0]
    np.testing.assert_allclose(grid[1:3, 2:4], [[.375, .125], [.375, .125]])


@pytest.mark.parametrize(('x', 'y', 'shape', 'message'), [
    ([8], [0], (6, 8, 2), 'x from 8 to 8'), ([0], [-1], (6, 8, 2), 'y from -1'),
    ([1.5], [0], (6, 8, 2), 'whole pixels'), ([1], [0], (6, 8), 'H, W, 2')])
def test_events_beside_the_map(x, y, shape, message):
    events = Events(np.array(x), np.array(y), np.array([5]), np.array([1]))
    with pytest.raises(ValueError, match=message):
        rectify_events(events, np.zeros(shape))
    nothing = events.select(slice(0))
    if len(shape) == 3:
        assert len(rectify_events(nothing, np.zeros(shape))) == 0


@pytest.mark.parametrize(('frame', 'places'), [
    (None, np.zeros((4, 4, 2))), (np.zeros((0, 0, 3), np.uint8), np.zeros((4, 4, 2))),
    (np.zeros((4, 4), np.uint8), np.zeros((4, 4)))])
def test_nothing_to_warp(frame, places):
    with pytest.raises(ValueError, match='has the shape'):
        warp_frame(frame, places)


def test_rectify_map_file(tmp_path):
    values = np.random.default_rng(0).random((480, 640, 2)).astype(np.float32)
    for name, content in (('rectify_map', values), ('rectify_map', values[:10]), ('other', values)):
        with h5py.File(tmp_path / 'map.h5', 'w') as file:
            file[name] = content
        if content is values and name == 'rectify_map':
            np.testing.assert_array_equal(read_rectify_map(tmp_path / 'map.h5'), values)
        else:
            with pytest.raises(UserError, match='rectify_map of shape'):
                read_rectify_map(tmp_path / 'map.h5')


@pytest.mark.parametrize(('change', 'message'), [
    (lambda c: c['intrinsics'].pop('camRect1'), 'no intrinsics.camRect1'),
    (lambda c: c['extrinsics'].update(R_rect0='x'), 'numbers of shape'),
    (lambda c: c['extrinsics'].update(T_10=np.zeros((4, 4)).tolist()), 'not a rotation'),
    (lambda c: c['intrinsics']['camRect0'].update(camera_matrix=[1, 2, 3]), 'numbers of shape'),
    (lambda c: c['intrinsics']['camRect1'].update(camera_matrix=[0, 9, 3, 3]), 'focal lengths 0'),
    (lambda c: c['extrinsics'].update(R_rect1=np.diag([1., 1., -1.]).tolist()), 'not a rotation'),
])
def test_bad_calibration(tmp_path, change, message):
    path = tmp_path / 'cam_to_cam.yaml'
    content = write_calibration(path)
    change(content)
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=message):
        Calibration.read(path)


def test_unreadable_calibration(tmp_path):
    with pytest.raises(UserError, match='cannot be read'):
        Calibration.read(tmp_path / 'absent.yaml')
    (tmp_path / 'bad.yaml').write_text('a: [')
    with pytest.raises(UserError, match='cannot be read'):
        Calibration.read(tmp_path / 'bad.yaml')


def test_bad_view(cameras):
    with pytest.raises(ValueError, match='view is'):
        frame_map(cameras[1], 'frame')
    with pytest.raises(ValueError, match='rectify_map'):
        frame_map(cameras[1], 'distorted')
