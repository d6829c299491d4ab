"""Events over frames: colours, places, and texts that stay within the picture."""
import numpy as np

from eca_mm.visualization.event_frames import BOX, BRIGHTER, DARKER, beside, overlay, under_titles


def grid(height=64, width=64):
    events = np.zeros((5, height, width))
    events[0, 10, 20], events[4, 30, 40] = 3, -3
    return events


def test_colours_say_which_way_the_light_changed():
    frame = np.full((64, 64, 3), 100, np.uint8)
    picture = overlay(frame, grid())
    assert tuple(picture[10, 20]) == BRIGHTER and tuple(picture[30, 40]) == DARKER
    picture[10, 20] = picture[30, 40] = 100
    assert (picture == 100).all()


def test_no_events_leave_the_frame_as_it_is():
    frame = np.full((64, 64, 3), 7, np.uint8)
    assert (overlay(frame, np.zeros((5, 64, 64))) == frame).all()


def test_names_stay_within_the_picture():
    frame = np.zeros((120, 160, 3), np.uint8)
    boxes = [(0, 0, 30, 30), (140, 60, 158, 110)]
    drawn = overlay(frame, np.zeros((5, 120, 160)), boxes, ['circle 0.91', 'triangle 0.52'])
    bare = overlay(frame, np.zeros((5, 120, 160)), boxes)
    text = (drawn != bare).any(-1)
    assert text[:20, :100].sum() > 100
    # Moved to the left of its box, which has no room for it.
    assert text[40:60].any(0).nonzero()[0].min() < 100
    assert (drawn == BOX).all(-1)[60, 140:158].all()


def test_columns_and_titles():
    frame = np.full((64, 64, 3), 100, np.uint8)
    picture = beside(frame, grid(), [(5, 5, 25, 25)], scale=2)
    assert picture.shape == (128, 384, 3)
    assert (picture[:, :128] == 100).all()
    assert tuple(picture[21, 128 + 41]) == BRIGHTER and tuple(picture[0, 128]) == (255, ) * 3
    assert tuple(picture[21, 256 + 41]) == BRIGHTER and tuple(picture[10, 256 + 30]) == BOX
    whole = under_titles([picture, picture], ('frame', 'events', 'both'))
    assert whole.shape[1:] == (384, 3) and whole.shape[0] > 256
    head = whole[:whole.shape[0] - 2 * 132]
    assert all((head[:, start:start + 128] < 100).any() for start in (0, 128, 256))
    assert (whole[len(head):len(head) + 128] == picture).all()
