"""How every tool exits: exit codes and one-line errors."""
import logging
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from typing import TextIO

from torch import distributed

from .explain import explain, interrupted, lost_peer
from .launchers import environment_rank
from .terminal import printable, printable_lines


def run(main: Callable[[], None]) -> None:
    """Run a tool and end the process: 0 when all went well, 1 when it failed, 2 for misuse.

    An error that the user can fix is reported in one line on standard error; any other
    keeps its traceback.

    Args:
        main (Callable): The tool; argparse ends it with 2 by itself.
    """
    code, factory = 0, logging.getLogRecordFactory()
    logging.setLogRecordFactory(_PrintableRecord)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            main()
    except KeyboardInterrupt:
        print('Interrupted.', file=sys.stderr)
        code = 130
    except Exception as error:
        if interrupted(error):
            # While it formats a config mmengine takes Ctrl-C for a mistake in it.
            print('Interrupted.', file=sys.stderr)
            _leave(130)
        sentence = explain(error)
        _wait_for_first_failure(sentence is not None and not lost_peer(error))
        # Names from files in a sentence must not begin lines of their own.
        print(printable(sentence, 4000) if sentence else printable_lines(traceback.format_exc()),
              file=sys.stderr)
        code = 1
    finally:
        logging.setLogRecordFactory(factory)
    _leave(code)


class _PrintableRecord(logging.LogRecord):
    """A message of a log in which names from files do no harm to a terminal."""

    def getMessage(self) -> str:  # noqa: N802
        return printable_lines(super().getMessage(), limit=100_000)


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int,
                  file: TextIO | None = None, line: str | None = None) -> None:
    text = warnings.formatwarning(message, category, filename, lineno, line).rstrip('\n')
    print(printable_lines(text), file=file or sys.stderr)


def _leave(code: int) -> None:
    if _is_distributed():
        # Gloo's threads now and then abort the interpreter's own way out ("terminate called").
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _is_distributed() -> bool:
    return 'WORLD_SIZE' in os.environ or distributed.is_initialized()


def _wait_for_first_failure(own_fault: bool) -> None:
    """Wait, in a distributed run, so that the launcher ends this process if another failed first.

    All processes meet the same missing file, and those that wait for a dead one fail in their
    turn; only the first of them has something to say.
    """
    if _is_distributed():
        time.sleep((5 if environment_rank() else 0) if own_fault else 10)
