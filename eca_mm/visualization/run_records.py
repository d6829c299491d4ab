"""Files in the folder of a run, which may come from a stranger."""
import json
import math
from pathlib import Path

from eca_mm.checkpoints.latest import is_file
from eca_mm.utils.errors import UserError

# A record of every iteration of 2,000 epochs of ImageNet would have a tenth of it.
_MAX_BYTES, _LONGEST_LINE = 2**30, 2**20
_LARGEST, _LARGEST_FRACTION = 2**53, 1e100


def read_text(path: Path, limit: int) -> str:
    """Read a text file of a run.

    Args:
        path (Path): The file.
        limit (int): Bytes that it may have.

    Returns:
        str: The text.

    Raises:
        UserError: If it is missing, a pipe or a device, too large, or not text.
    """
    _check_file(path, limit)
    try:
        return path.read_text(encoding='utf-8')
    except (OSError, UnicodeError) as error:
        raise UserError(f'{path} cannot be read: {type(error).__name__}: {error}.') from error


def read_records(path: Path) -> list[dict]:
    """Read what mmengine has logged, ``scalars.json``.

    Args:
        path (Path): The file: a JSON object in each line.

    Returns:
        list[dict]: The records, each with ``step``, a whole number from 0 on. A last line that a
        killed process has left unfinished is passed over.

    Raises:
        UserError: If it cannot be read or a line is not such a record.
    """
    _check_file(path, _MAX_BYTES)
    records: list[dict] = []
    broken = None
    try:
        with path.open(encoding='utf-8') as stream:
            number = 0
            while line := stream.readline(_LONGEST_LINE):
                number += 1
                if broken is not None:
                    raise broken
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError) as error:
                    broken = UserError(f'{path} is broken in line {number}: {error}.')
                    continue
                records.append(_checked(record, path, number))
    except (OSError, UnicodeError) as error:
        raise UserError(f'{path} cannot be read: {type(error).__name__}: {error}.') from error
    return records


def _checked(record: object, path: Path, number: int) -> dict:
    step = record.get('step') if isinstance(record, dict) else None
    if not isinstance(record, dict) or type(step) is not int or not 0 <= step < _LARGEST:
        raise UserError(f'{path} is not what mmengine writes: line {number} has no step.')
    for name, value in record.items():
        if (type(value) is int and abs(value) >= _LARGEST) or (
                type(value) is float and _LARGEST_FRACTION <= abs(value) < math.inf):
            raise UserError(f'{path} is not what mmengine writes: {name} of line {number} is '
                            'too large a number.')
    return record


def _check_file(path: Path, limit: int) -> None:
    if not is_file(path):
        raise UserError(f'{path} cannot be read: it is missing, or not a regular file.')
    size = path.stat().st_size
    if size > limit:
        raise UserError(f'{path} cannot be read: it has {size >> 20} MB, far more than mmengine '
                        'writes.')
