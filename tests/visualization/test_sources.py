"""The demo's sources: pictures, folders, patterns, videos, cameras."""
import os

import cv2
import numpy as np
import pytest

from eca_mm.utils.errors import UserError
from eca_mm.visualization.demo import _targets
from eca_mm.visualization.sources import Sources, Video, VideoFile, find_sources


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('in/IMG_1.JPG', 'in/b.png', 'in/sub/b.png', 'in/notes.txt', 'in/film.MP4',
                 'in/.ipynb_checkpoints/c.png', 'in/._b.png', 'in/out/old.png'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'x')
    return tmp_path


def test_folders_are_searched_in_any_case_of_suffix(folder):
    found = find_sources('in', leave_out='in/../in/out')
    assert found.images == ['in/IMG_1.JPG', 'in/b.png', 'in/sub/b.png']
    assert found.videos == ['in/film.MP4'] and found.others == ['in/notes.txt']
    assert [found.name(path) for path in found.images] == ['IMG_1.JPG', 'b.png', 'sub/b.png']
    targets = _targets(found, 'pictures')
    assert len(set(targets.values())) == 4 and targets['in/film.MP4'] == 'pictures/film.MP4'


def test_links_and_results_of_earlier_runs(folder):
    (folder / 'elsewhere').mkdir()
    (folder / 'elsewhere/c.png').write_bytes(b'x')
    os.symlink('../elsewhere', 'in/linked')
    os.symlink('.', 'in/loop')
    assert find_sources('in', 'in/out').images == [
        'in/IMG_1.JPG', 'in/b.png', 'in/linked/c.png', 'in/sub/b.png']
    found = find_sources('in/*/*.png', 'in/out')
    assert 'in/out/old.png' not in found.images and 'in/sub/b.png' in found.images
    assert 'in/out/old.png' in find_sources('in/*/*.png').images
    assert find_sources('in/*.png', 'in').images == ['in/b.png']


def test_patterns_single_files_and_cameras(folder):
    assert find_sources('in/*.png').images == ['in/b.png']
    assert find_sources('in/**/b.png').name('in/sub/b.png') == 'sub/b.png'
    # A named file is treated as a picture whatever its suffix.
    assert find_sources('in/notes.txt').images == ['in/notes.txt']
    assert find_sources('in/film.MP4').videos == ['in/film.MP4']
    assert find_sources('0').videos == find_sources('camera:0').videos == ['camera:0']
    assert find_sources('/dev/video3').videos == ['camera:3']
    assert find_sources('rtsp://host/a?b=1').videos == ['rtsp://host/a?b=1']
    assert Sources('').name('rtsp://host/a?b=1') == 'host_a_b_1.mp4'
    assert Sources('').name('camera:0') == 'camera_0.mp4'


def test_nothing_to_predict_for_is_an_error(folder):
    (folder / 'empty').mkdir()
    for text, sentence in (('nowhere', 'does not exist'), ('empty', 'has no files'),
                           ('in/*.txt', '1 other files and neither a picture'),
                           ('in/*.bmp', 'has no files')):
        with pytest.raises(UserError, match=sentence):
            find_sources(text)


def test_no_picture_replaces_its_source(folder):
    found = find_sources('in/sub')
    os.makedirs('out')
    os.symlink('../in/sub/b.png', 'out/b.png')
    for target in ('in/sub', 'out'):
        with pytest.raises(UserError, match='is the file to read'):
            _targets(found, target)


def test_videos_are_read_and_written(tmp_path):
    frames = [np.full((48, 64, 3), 40 * i, np.uint8) for i in range(5)]
    path = str(tmp_path / 'new/v.mp4')
    out = VideoFile(path, 10)
    assert not out.close()
    for frame in frames:
        out.add(frame)
    assert not (tmp_path / 'new/v.mp4').exists()
    assert out.close()
    assert [p.name for p in (tmp_path / 'new').iterdir()] == ['v.mp4']
    video = Video(path)
    read = list(video)
    assert (len(read), video.count, video.fps) == (5, 5, 10)
    assert abs(int(read[3].mean()) - 120) < 10
    capture = cv2.VideoCapture(path)
    assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) == 64


def test_broken_videos(tmp_path):
    (tmp_path / 'v.mp4').write_bytes(b'no video' * 100)
    for source in (str(tmp_path / 'v.mp4'), 'camera:77'):
        with pytest.raises(UserError, match='cannot be opened as a video'):
            Video(source)


@pytest.mark.parametrize('source', ['camera:77', '/dev/video77', '77'])
def test_a_camera_that_is_not_there(source, capfd):
    with pytest.raises(UserError) as raised:
        Video(find_sources(source).videos[0])
    message = str(raised.value)
    assert 'no camera number 77 (the first is camera:0)' in message and '\n' not in message
    # Not what each of OpenCV's backends has to say.
    assert capfd.readouterr().err == ''


@pytest.mark.parametrize('source', ['camera:-1', 'camera:x', 'camera:', 'camera:99999999999999'])
def test_what_is_not_the_number_of_a_camera(source):
    with pytest.raises(UserError, match=r'does not exist; give .* or camera:0\.'):
        find_sources(source)


def test_a_stream_that_does_not_answer():
    with pytest.raises(UserError, match='nothing answers at that address'):
        Video(find_sources('http://127.0.0.1:1/x.mp4').videos[0])
