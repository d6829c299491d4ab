"""What the tools' command lines share: arguments, exit codes, errors in one sentence."""
import argparse
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable

from mmengine.config import DictAction
from torch import distributed

from .explain import explain, lost_peer
from .help import HelpFormatter
from .launchers import environment_rank


class KeyValues(DictAction):
    """``K=V ...`` arguments as mmengine reads them; anything else is misuse of the command."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: list[str], option_string: str | None = None) -> None:
        """Add the pairs to the namespace."""
        try:
            super().__call__(parser, namespace, values, option_string)
        except (ValueError, AssertionError):
            parser.error(f'{option_string} expects KEY=VALUE pairs, but got {" ".join(values)}')


def side(text: str) -> int:
    """Read one side of an image from the command line: a positive number of pixels."""
    value = int(text) if text.isdecimal() else 0
    if not value:
        raise argparse.ArgumentTypeError(f'expects two positive integers, but got {text!r}')
    return value


def new_parser(description: str, example: str) -> argparse.ArgumentParser:
    """Start the argument parser of a training or testing tool.

    Args:
        description (str): What the tool does.
        example (str): A command line for the end of ``--help``.

    Returns:
        argparse.ArgumentParser: With ``config`` and the options that all of them share.
    """
    parser = argparse.ArgumentParser(
        description=description, epilog=f'example: {example}', formatter_class=HelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='for logs and checkpoints '
                        '(default: work_dir of the config, or work_dirs/<config name>)')
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues, metavar='K=V',
                        help='override entries of the config, e.g. train_dataloader.batch_size=4')
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm', 'mpi'), default='none',
                        help='what started the processes of a distributed run')
    return parser


def run(main: Callable[[], None]) -> None:
    """Run a tool and end the process: 0 when all went well, 1 when it failed, 2 for misuse.

    An error that the user can put right is told in one sentence on standard error; any other
    keeps its traceback.

    Args:
        main (Callable): The tool; argparse ends it with 2 by itself.
    """
    code = 0
    try:
        main()
    except KeyboardInterrupt:
        print('Interrupted.', file=sys.stderr)
        code = 130
    except Exception as error:
        sentence = explain(error)
        _wait_for_first_failure(sentence is not None and not lost_peer(error))
        print(sentence or traceback.format_exc(), file=sys.stderr)
        code = 1
    _leave(code)


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
