"""Values of a config that would end in a traceback, or do something else than they say."""
import math
from collections.abc import Iterator

from mmengine.config import Config

from eca_mm.utils.errors import UserError


def check_values(config: Config) -> None:
    """Look at the numbers that every run needs.

    Args:
        config (Config): A resolved config.

    Raises:
        UserError: Naming the first that cannot be used.
    """
    for where, value, expected in bad_values(config):
        raise UserError(f'{where} of the config is {value!r}, but must be {expected}.')


def bad_values(config: Config) -> Iterator[tuple[str, object, str]]:
    """Find the numbers that cannot be used.

    Args:
        config (Config): A resolved config.

    Yields:
        tuple[str, object, str]: Dotted key, value, and what it must be.
    """
    for split in ('train', 'val', 'test'):
        loader = config.get(f'{split}_dataloader')
        if not isinstance(loader, dict):
            continue
        where = f'{split}_dataloader'
        yield from _whole(f'{where}.batch_size', loader.get('batch_size', 1), 1)
        yield from _whole(f'{where}.num_workers', loader.get('num_workers', 0), 0)
    seed = (config.get('randomness') or {}).get('seed')
    if seed is not None:
        yield from _whole('randomness.seed', seed, 0, 2**32 - 1)
    loop = config.get('train_cfg')
    if isinstance(loop, dict):
        for key, least in (('max_epochs', 1), ('max_iters', 1), ('val_interval', 1)):
            if loop.get(key) is not None:
                yield from _whole(f'train_cfg.{key}', loop[key], least)
    wrapper = config.get('optim_wrapper')
    optimizer = wrapper.get('optimizer') if isinstance(wrapper, dict) else None
    if isinstance(optimizer, dict):
        for key in ('lr', 'weight_decay', 'momentum'):
            value = optimizer.get(key)
            if value is not None and not (_is_number(value) and value >= 0):
                yield (f'optim_wrapper.optimizer.{key}', value, 'a number from 0 on')
    if isinstance(wrapper, dict) and wrapper.get('accumulative_counts') is not None:
        yield from _whole('optim_wrapper.accumulative_counts', wrapper['accumulative_counts'], 1)


def _whole(where: str, value: object, least: int, most: int | None = None,
           ) -> Iterator[tuple[str, object, str]]:
    whole = _is_number(value) and value == int(value)  # type: ignore[call-overload]
    if not whole or value < least or (most is not None and value > most):  # type: ignore[operator]
        limits = f'from {least} on' if most is None else f'from {least} to {most}'
        yield where, value, f'a whole number {limits}'


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
