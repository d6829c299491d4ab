"""Which cases of a test run by default."""
from collections.abc import Iterable
from typing import Any

import pytest


def few_by_default(cases: Iterable, *kept: int) -> list[Any]:
    """Leave most cases of a test to the slow tests.

    Args:
        cases (Iterable): Values for ``pytest.mark.parametrize``.
        *kept (int): Positions of those that run by default.

    Returns:
        list: The same cases, all others marked as slow.
    """
    return [case if number in kept else pytest.param(
        *(case if isinstance(case, tuple) else (case, )), marks=pytest.mark.slow)
            for number, case in enumerate(cases)]
