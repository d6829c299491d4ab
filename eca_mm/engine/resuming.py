"""What a resumed run takes from its checkpoint instead of its config."""
import contextlib
import logging
import traceback
from collections.abc import Iterator
from itertools import chain

import torch
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader, Runner
from torch import nn

from eca_mm.checkpoints.latest import latest_checkpoint
from eca_mm.utils.errors import UserError
from eca_mm.utils.explain import explain
from eca_mm.utils.pretrained import pretrained_configs
from eca_mm.utils.terminal import printable

# What of a scheduler comes from its config; the rest is its state.
_SCHEDULE = ('begin', 'end', 'milestones', 'gamma', 'step_size', 'T_max', 'total_iters', 'factor',
             'start_factor', 'end_factor', 'eta_min', 'eta_max', 'power', 'patience', 'by_epoch')


def settings(runner: Runner) -> dict[str, object]:
    """Settings of a runner's optimizers and schedules that resuming restores.

    Args:
        runner (Runner): With optimizers and schedulers built.

    Returns:
        dict[str, object]: Values by name.
    """
    found: dict[str, object] = {}
    wrapper = runner.optim_wrapper
    for part, each in getattr(wrapper, 'optim_wrappers', {'': wrapper}).items():
        for number, group in enumerate(each.param_groups):
            where = '.'.join(filter(None, ('optimizer', part, f'group{number}' if number else '')))
            for key, value in group.items():
                # Of what a schedule changes, only the initial value is a setting.
                if key != 'params' and f'initial_{key}' not in group and isinstance(
                        value, int | float | tuple | list):
                    found[f'{where}.{key.removeprefix("initial_")}'] = (
                        list(value) if isinstance(value, tuple) else value)
    schedulers = runner.param_schedulers
    groups = {'': schedulers} if isinstance(schedulers, list) else schedulers or {}
    for number, scheduler in enumerate(chain(*groups.values())):
        for key in _SCHEDULE:
            value = getattr(scheduler, key, None)
            if value is not None:
                found[f'param_scheduler.{number}.{key}'] = (
                    dict(value) if hasattr(value, 'items') else value)
    return found


def tell_unused(before: dict, after: dict, checkpoint: str) -> None:
    """Log which settings of the config are overridden by the checkpoint's.

    Args:
        before (dict): :func:`settings` by the config.
        after (dict): The same after resuming.
        checkpoint (str): The checkpoint's file.
    """
    changed = [f'{name}={before[name]} (the checkpoint has {value})'
               for name, value in after.items() if name in before and before[name] != value]
    if changed:
        more = f' and {len(changed) - 5} more' if len(changed) > 5 else ''
        print_log(f'These settings of the config are not used: {", ".join(changed[:5])}{more}; '
                  'resuming restores optimizer and schedules. To train with other settings start '
                  'from the weights alone: without --resume, with --cfg-options '
                  f'load_from={checkpoint}.', logger='current', level=logging.WARNING)


def tell_finished(runner: Runner) -> None:
    """Warn when there is nothing left to train.

    Args:
        runner (Runner): A resumed runner.
    """
    loop = runner.train_loop
    # The last iteration of the last epoch may have been saved before the epoch was ended.
    if loop.epoch >= loop.max_epochs or loop.iter >= loop.max_iters:
        print_log('Nothing is left to train: the checkpoint belongs to a finished run '
                  f'({loop.iter} of {loop.max_iters} iterations); raise max_epochs or max_iters of '
                  'train_cfg to continue.',
                  logger='current', level=logging.WARNING)


def resumed_meta(checkpoint: str | None) -> dict:
    """Read where the run of a checkpoint was.

    Args:
        checkpoint (str | None): The file to resume from, if there is one.

    Returns:
        dict: Its entry ``'meta'``, checked; empty without a file.
    """
    if checkpoint is None:
        return {}
    return check_meta(CheckpointLoader.load_checkpoint(checkpoint, 'cpu').get('meta'), checkpoint)


@contextlib.contextmanager
def weights_alone(runner: Runner) -> Iterator[None]:
    """Have an evaluation load only the weights of a checkpoint to resume from.

    mmengine would resume optimizer and schedules, which are not built before training. Training
    resumes from the whole checkpoint afterwards.

    Args:
        runner (Runner): About to validate or test.

    Yields:
        None: While it does.
    """
    if runner._has_loaded or not runner._resume:
        yield
        return
    stated = runner._load_from
    runner._load_from = stated or latest_checkpoint(runner.work_dir)
    if runner._load_from is None:
        runner.logger.warning(f'There is no checkpoint in {runner.work_dir} to resume from: the '
                              'weights of the start are evaluated.')
    must_match, runner._must_match, runner._resume = runner._must_match, True, False
    try:
        yield
    finally:
        runner._load_from, runner._resume, runner._must_match = stated, True, must_match
        runner._has_loaded = False


def check_meta(meta: object, checkpoint: str) -> dict:
    """Make sure that a checkpoint says in numbers where its run was.

    Args:
        meta (object): Its entry ``'meta'``.
        checkpoint (str): Its file.

    Returns:
        dict: The same.

    Raises:
        UserError: If an epoch, an iteration or a seed is not a number that it can be.
    """
    meta = meta if isinstance(meta, dict) else {}
    for name, most in (('epoch', 2**53), ('iter', 2**53), ('seed', 2**32)):
        value = meta.get(name)
        if value is not None and not (type(value) is int and 0 <= value < most):
            raise UserError(f'Checkpoint {checkpoint} cannot be resumed from: its {name} is '
                            f'{printable(value)!r}, not a whole number from 0 on.')
    return meta


@contextlib.contextmanager
def resumable(checkpoint: str) -> Iterator[None]:
    """Report a checkpoint whose state does not fit the run in a sentence.

    Args:
        checkpoint (str): Its file.

    Yields:
        None: While it is being resumed from.

    Raises:
        UserError: If the optimizer, a schedule or mmengine's records cannot use what it holds.
    """
    try:
        yield
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, AssertionError,
            RuntimeError) as error:
        frames = traceback.walk_tb(error.__traceback__)
        if isinstance(error, torch.cuda.OutOfMemoryError) or explain(error) is not None or any(
                frame.f_code.co_name == 'build_from_cfg' for frame, _ in frames):
            # Not the checkpoint's fault.
            raise
        reason = printable(str(error).partition('\n')[0] or type(error).__name__, 200)
        raise UserError(f'Checkpoint {checkpoint} cannot be resumed from, its state does not fit '
                        f'this run ({type(error).__name__}: {reason}): use the config that it was '
                        'trained with, or start from its weights alone by --cfg-options '
                        f'load_from={checkpoint}.') from error


@contextlib.contextmanager
def without_pretrained(model: nn.Module) -> Iterator[None]:
    """Initialise a model without the files of ``init_cfg=dict(type='Pretrained')``.

    A checkpoint that is resumed from fills all of it; the files may be gone.

    Args:
        model (nn.Module): The model.

    Yields:
        None: While the files are not asked for.
    """
    stated = {}
    for module in model.modules():
        configs = getattr(module, 'init_cfg', None)
        loading = pretrained_configs(configs)
        if loading:
            stated[module] = configs
            listed = [configs] if isinstance(configs, dict) else configs or []
            module.init_cfg = [cfg for cfg in listed if cfg not in loading] or None
    try:
        yield
    finally:
        for module, configs in stated.items():
            module.init_cfg = configs
