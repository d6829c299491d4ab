"""Short lists of values in messages."""
from collections.abc import Iterable


def some(values: Iterable, count: int = 5) -> str:
    """Name the first few of several values.

    Args:
        values (Iterable): Ids, names or paths.
        count (int): How many are named.

    Returns:
        str: ``'1, 2, 3'``, or ``'1, 2, 3, 4, 5, ...'`` where there are more.
    """
    values = list(values)
    return ', '.join(map(str, values[:count])) + (', ...' if len(values) > count else '')
