"""Data workers that cannot hand over a batch."""
import sys
from multiprocessing.queues import Queue
from typing import Any

from torch._utils import ExceptionWrapper
from torch.utils.data import get_worker_info


def send_errors() -> None:
    """Have this process's queues send an error in place of a batch that does not fit into them.

    Python prints it and drops the batch, for which the main process then waits forever.
    """
    Queue._on_queue_feeder_error = _send_error  # type: ignore[attr-defined]


def send_errors_of_worker() -> None:
    """Call :func:`send_errors` if this is a data worker, whose queues are that of the loader.

    So data sets and transforms of ours keep stock runners from waiting forever.
    """
    if get_worker_info() is not None:
        send_errors()


def _send_error(queue: Any, error: Exception, item: Any) -> None:
    """Send the error; called while it is being handled."""
    if isinstance(item, tuple) and len(item) == 2 and not isinstance(item[1], ExceptionWrapper):
        queue.put((item[0], ExceptionWrapper(sys.exc_info(), 'in DataLoader worker process')))
