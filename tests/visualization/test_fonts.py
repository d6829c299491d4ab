"""Class names of any script can be drawn."""
import matplotlib
import pytest
from matplotlib import font_manager

from eca_mm.visualization import fonts
from eca_mm.visualization.fonts import legible_names


@pytest.fixture(autouse=True)
def keep_settings():
    with matplotlib.rc_context():
        yield


def test_names_that_the_shipped_font_has_stay():
    names = ['cat', 'Größe', 'кошка', 'γάτα']
    assert legible_names(names) == (names, [])
    assert legible_names(['$a$', 'a\x1b[0m'])[0] == [r'\$a\$', r'a\x1b[0m']


def test_names_that_no_font_has_are_transliterated(monkeypatch):
    monkeypatch.setattr(fonts, '_fonts_for', lambda missing: {})
    names, notes = legible_names(['圆形', 'cat', '방형'])
    assert names == ['YuanXing', 'cat', 'BangHyeong']
    assert len(notes) == 1 and '2 class names' in notes[0] and '圆形 as YuanXing' in notes[0]


def test_installed_fonts_are_searched(monkeypatch):
    entry = font_manager.FontEntry(fname='x.ttf', name='Some CJK', style='normal')
    # The shipped font as well: where it has not been looked up before, it is now.
    shipped = [one for one in font_manager.fontManager.ttflist if one.name == fonts._BASE]
    monkeypatch.setattr(font_manager.fontManager, 'ttflist', [*shipped, entry])
    real = fonts._characters
    monkeypatch.setattr(fonts, '_characters',
                        lambda path: set('圆形') if path == 'x.ttf' else real(path))
    assert legible_names(['圆形']) == (['圆形'], [])
    assert matplotlib.rcParams['font.sans-serif'] == ['DejaVu Sans', 'Some CJK']
