"""What a constructor asserts of the values that a config gives it, in words."""
import ast
import linecache
from types import FrameType, TracebackType
from typing import Any

# Constructors of these alone; an assertion of our own is a bug.
_LIBRARIES = ('mmdet.', 'mmpretrain.', 'mmcv.', 'mmengine.', 'mmseg.', 'torch.', 'eca_mm.')
# What to do with images of other numbers of channels.
_CHANNELS = ('; for images of other numbers of channels set mean=None, std=None and '
             'bgr_to_rgb=False (mmpretrain: to_rgb=False) there and add '
             "dict(type='Normalize', mean=[...], std=[...], to_rgb=False) to the pipelines")
_LONGEST = 80


def explain_assertion(error: AssertionError) -> str | None:
    """Say which value of a config an assertion refuses.

    Args:
        error (AssertionError): What ended the program.

    Returns:
        str | None: One sentence; None if it was not raised while something was built from its
        config.
    """
    links = []
    link: TracebackType | None = error.__traceback__
    while link is not None:
        links.append((link.tb_frame, link.tb_lineno))
        link = link.tb_next
    inside: list[tuple[FrameType, int]] = []
    for frame, line in reversed(links):
        if frame.f_code.co_name == 'build_from_cfg':
            break
        inside.append((frame, line))
    else:
        return None
    name = getattr(frame.f_locals.get('obj_cls'), '__name__', '')
    modules = [str(part.f_globals.get('__name__')) for part, _ in inside]
    if (not modules or not name or name.endswith('Runner') or modules[0].startswith('eca_mm.')
            or not all(module.startswith(_LIBRARIES) for module in modules)):
        return None
    text = ' '.join(str(error).split()).rstrip('.')
    reason = _of_plugins(*inside[0])
    if reason is None and ' ' in text:
        reason = text + (_CHANNELS if '`mean` should have 1 or 3 values' in text else '')
    reason = reason or _condition(*inside[0]) or text
    return f'The config gives {name} a value that it does not take: {reason}.' if reason else None


def _of_plugins(frame: FrameType, line: int) -> str | None:
    """What mmdet's ResNet says of its plugins, or of deformable convolutions, without words."""
    test = _test(frame, line)
    for option, instead in (('plugins', "take type='ECAResNet', or a depth of 50 or more"),
                            ('dcn', 'take a depth of 50 or more')):
        if test is not None and ast.unparse(test) == f'{option} is None':
            kind = type(frame.f_locals.get('self')).__name__
            return (f'the {kind} of ResNet-18 and ResNet-34 has no {option}; {instead}')
    allowed, plugins = (frame.f_locals.get(key) for key in ('allowed_position', 'plugins'))
    if test is not None and 'allowed_position' in ast.unparse(test) and allowed and plugins:
        wrong = [plugin.get('position') for plugin in plugins
                 if plugin.get('position') not in allowed]
        if wrong:
            return (f"the position {wrong[0]!r} of a plugin is none of "
                    f'{", ".join(map(repr, allowed))}')
    return None


def _condition(frame: FrameType, line: int) -> str | None:
    """The condition of an assertion without words, with the values in it."""
    test = _test(frame, line)
    if test is None:
        return None
    values = {}
    for node in ast.walk(test):
        if isinstance(node, ast.Name) and node.id in frame.f_locals and node.id != 'self':
            value = frame.f_locals[node.id]
            if isinstance(value, str | int | float | tuple | list | dict | None) and (
                    len(repr(value)) <= _LONGEST):
                values[node.id] = value
    given = ' and '.join(f'{name}={value!r}' for name, value in values.items())
    return f'it asserts {ast.unparse(test)}' + (f', but has {given}' if given else '')


def _test(frame: FrameType, line: int) -> Any:
    """The expression that an assertion of a line tests; None where it is not in one line."""
    source = linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip()
    for text in (source, source.rstrip(', \\'), source + ')'):
        try:
            parsed = ast.parse(text).body
        except SyntaxError:
            continue
        if parsed and isinstance(parsed[0], ast.Assert):
            return parsed[0].test
    return None
