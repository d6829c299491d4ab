"""Class names in any script: fonts that have their characters, or Latin letters in their place."""
from anyascii import anyascii
from matplotlib import font_manager

from eca_mm.compat.drawing import prefer_fonts
from eca_mm.utils.terminal import printable

_BASE = 'DejaVu Sans'


def legible_names(names: list[str] | tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Make names drawable by matplotlib, with which mmdet and mmpretrain write into pictures.

    The font that matplotlib ships has Latin, Greek, Cyrillic, Arabic and other letters; for further
    characters the installed fonts are searched, and those found become fallbacks of matplotlib's
    ``sans-serif``. Characters that no font has are transliterated.

    Args:
        names (list[str] | tuple[str, ...]): Names of classes.

    Returns:
        tuple[list[str], list[str]]: The names to draw, one each, and sentences on what was changed.
    """
    safe = [printable(name) for name in names]
    missing = set(''.join(safe)) - _characters(font_manager.findfont(_BASE))
    if missing:
        fonts = _fonts_for(missing)
        prefer_fonts([_BASE, *fonts])
        for characters in fonts.values():
            missing -= characters
    drawn = [anyascii(name) if missing & set(name) else name for name in safe]
    changed = [f'{name} as {shown}' for name, shown in zip(safe, drawn, strict=True)
               if name != shown]
    notes = [f'No installed font has all characters of {len(changed)} class names; the pictures '
             f'show {printable(", ".join(changed), 300)}. Installing a font (Noto Sans CJK, say) '
             'helps.'] if changed else []
    # A pair of dollars would be set as a formula.
    return [name.replace('$', r'\$') for name in drawn], notes


def _fonts_for(missing: set[str]) -> dict[str, set[str]]:
    """Families of installed fonts that together have as many of some characters as possible."""
    found: dict[str, set[str]] = {}
    have = {}
    for entry in font_manager.fontManager.ttflist:
        if entry.name not in have and entry.style == 'normal':
            try:
                have[entry.name] = _characters(entry.fname) & missing
            except (OSError, RuntimeError):
                continue
    left = set(missing)
    while left:
        best = max(have, key=lambda name: len(have[name] & left), default=None)
        if best is None or not have[best] & left:
            break
        found[best] = have[best]
        left -= have[best]
    return found


def _characters(path: str) -> set[str]:
    return {chr(code) for code in font_manager.get_font(path).get_charmap()}
