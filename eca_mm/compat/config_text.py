"""The text of a config, which mmengine formats anew for every log, dump and checkpoint."""
from functools import wraps
from typing import Any

import mmengine.config.config as config_module

# A run needs one text, a tool that compares configs a few.
_REMEMBERED = 4


def format_once() -> None:
    """Remember how the last few configs are laid out; yapf takes seconds for a detector's."""
    plain = getattr(config_module, 'FormatCode', None)
    if plain is None or hasattr(plain, '__wrapped__'):
        return
    known: dict[tuple[str, str], Any] = {}

    @wraps(plain)
    def format_code(text: str, **options: Any) -> Any:
        key = text, repr(options)
        if key not in known:
            formatted = plain(text, **options)
            while len(known) >= _REMEMBERED:
                known.pop(next(iter(known)))
            known[key] = formatted
        return known[key]

    config_module.FormatCode = format_code
