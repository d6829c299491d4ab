"""Schedules of a run that continues with a different number of iterations per epoch."""
import logging
from itertools import chain

from mmengine.logging import print_log
from mmengine.runner import Runner


def follow_new_length(runner: Runner, epoch: int, iteration: int, length: int) -> None:
    """Set schedules that count iterations to where a run with these epochs would be.

    Args:
        runner (Runner): A resumed runner; its schedulers have the checkpoint's state.
        epoch (int): Epochs done.
        iteration (int): Iterations done, counted in epochs of the new length.
        length (int): Iterations in an epoch from now on.
    """
    current = runner.param_schedulers
    groups = {'': current} if isinstance(current, list) else current or {}
    if all(scheduler.by_epoch for scheduler in chain(*groups.values())):
        return
    config = runner.cfg.get('param_scheduler')
    # What looks at the validation's results, or was built by hand, cannot be computed again.
    if config is None or any(getattr(scheduler, 'need_val_args', False)
                             for scheduler in chain(*groups.values())):
        print_log('Schedules that count iterations continue as before, though an epoch now has '
                  f'{length}.', logger='current', level=logging.WARNING)
        return
    optimizers = getattr(runner.optim_wrapper, 'optim_wrappers', {'': runner.optim_wrapper})
    for wrapper in optimizers.values():
        for group in wrapper.param_groups:
            for key in [key for key in group if key.startswith('initial_')]:
                group[key.removeprefix('initial_')] = group[key]
    runner.param_schedulers = runner.build_param_scheduler(config)
    groups = ({'': runner.param_schedulers} if isinstance(runner.param_schedulers, list)
              else runner.param_schedulers)
    schedulers = list(chain(*groups.values()))
    for scheduler in schedulers:
        # Weights take their next step with these values; the optimizer has made none yet.
        scheduler.optimizer._global_step = 0
    for done in range(1, iteration + 1):
        for scheduler in schedulers:
            if not scheduler.by_epoch:
                scheduler.step()
        if done % length == 0 and done // length <= epoch:
            for scheduler in schedulers:
                if scheduler.by_epoch:
                    scheduler.step()
