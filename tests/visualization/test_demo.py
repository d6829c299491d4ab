"""Predictions for what was found: damaged files are skipped and counted."""
import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from eca_mm.analysis import build_model
from eca_mm.utils.errors import UserError
from eca_mm.visualization.demo import _predict_video, predict_sources
from eca_mm.visualization.predict import Predictor, summary
from eca_mm.visualization.sources import Video, VideoFile, find_sources
from tests.support import samples


@pytest.fixture(scope='module', params=['cls', 'det'])
def predictor(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    text = samples.CLASSIFICATION if request.param == 'cls' else samples.DETECTION
    config = Config.fromfile(samples.write_config(folder / 'c.py', text, folder))
    model = build_model(config)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(
        dataset_meta=dict(classes=('red', 'grün', '蓝')))), folder / 'c.pth')
    return Predictor(config, str(folder / 'c.pth'), score_thr=0.)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'in/sub').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ('a.JPG', 'sub/a.png'):
        cv2.imwrite(str(tmp_path / 'in' / name), rng.integers(0, 255, (64, 64, 3), np.uint8))
    (tmp_path / 'in/bad.jpg').write_bytes((tmp_path / 'in/a.JPG').read_bytes()[:200])
    (tmp_path / 'in/notes.txt').write_text('x')
    video = VideoFile(str(tmp_path / 'in/v.mp4'), 5)
    for _ in range(3):
        video.add(rng.integers(0, 255, (64, 64, 3), np.uint8))
    video.close()
    return tmp_path


def test_a_folder_of_all_kinds(predictor, folder, capsys):
    results = predict_sources(predictor, find_sources(str(folder / 'in')), str(folder / 'out'))
    seen = capsys.readouterr()
    assert '3 of 4 pictures and videos, 1 skipped, 1 other files passed over' in seen.out
    assert 'bad.jpg is truncated' in seen.err and 'v.mp4: 3 frames' in seen.out
    written = sorted(path.relative_to(folder / 'out').as_posix()
                     for path in (folder / 'out').rglob('*.*'))
    assert written == ['a.JPG', 'sub/a.png', 'v.mp4']
    assert len(results) == 3 + 3 and sum('error' in result for result in results) == 1
    frames = [result for result in results if 'frame' in result]
    assert [frame['seconds'] for frame in frames] == [0, .2, .4]
    found = results[0]['predictions']
    assert found == sorted(found, key=lambda entry: -entry['score'])
    assert {entry['class'] for entry in found} <= {'red', 'grün', '蓝'}
    if predictor.detects:
        assert all(len(entry['bbox']) == 4 for entry in found)
    else:
        assert sum(entry['score'] for entry in found) == pytest.approx(1, abs=1e-5)
    assert summary(found, 1).startswith(found[0]['class']) and summary([]) == 'nothing'


def test_only_damaged_files_are_an_error(predictor, folder):
    for path, sentence in (('in/bad.jpg', 'is truncated'), ('in/bad*', 'is truncated')):
        with pytest.raises(UserError, match=sentence):
            predict_sources(predictor, find_sources(str(folder / path)), None)
    (folder / 'in/worse.jpg').write_bytes(b'x')
    (folder / 'in/a.JPG').unlink()
    with pytest.raises(UserError, match='None of the 2'):
        predict_sources(predictor, find_sources(str(folder / 'in/*.jpg')), None)


def test_some_frames_only(predictor, folder):
    results = predict_sources(predictor, find_sources(str(folder / 'in/v.mp4')), None, frames=2)
    assert [result['frame'] for result in results] == [0, 1]


def test_a_video_without_a_readable_frame_is_an_error(tmp_path):
    path = tmp_path / 'v.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    for grey in range(0, 200, 50):
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()
    content = bytearray(path.read_bytes())
    # The chunks of the frames: 4 letters, 4 bytes of length, the frame.
    place, end = content.index(b'movi') + 4, content.index(b'idx1')
    while place < end:
        length = int.from_bytes(content[place + 4:place + 8], 'little')
        content[place + 8:place + 8 + length] = bytes(length)
        place += 8 + length + length % 2
    path.write_bytes(content)
    assert Video(str(path)).count == 4
    with pytest.raises(UserError, match='gave no frame that can be read'):
        _predict_video(None, str(path), None, None)


@pytest.mark.parametrize(('classes', 'note'), [
    (('red', 'green', 'blue'), ''), (('red', 'green'), 'tells 3 classes apart.*names of 2'),
    (('r', 'g', 'b', 'x'), 'names of 4 .r, g, b, x.'), ('red', 'names of 1 .red.')])
def test_names_of_another_number_of_classes_are_noted(tmp_path, classes, note):
    config = Config.fromfile(samples.write_config(tmp_path / 'c.py', samples.CLASSIFICATION,
                                                  tmp_path))
    model = build_model(config)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=classes))),
               tmp_path / 'c.pth')
    notes = Predictor(config, str(tmp_path / 'c.pth')).notes
    assert len(notes) == bool(note) and all(re.search(note, text) for text in notes)
