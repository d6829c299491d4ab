#!/usr/bin/env python
"""torchrun, but silent about workers that have already reported why they stopped.

The dist_*.sh scripts use it: same arguments as torchrun.
"""
import logging
import sys

import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import get_args_parser
from torch.distributed.run import run as torchrun


def main() -> int:
    """Start the processes, wait for them and return the exit code of the first that failed."""
    args = get_args_parser().parse_args()
    gpus = torch.cuda.device_count()
    asked = str(args.nproc_per_node)
    if gpus and asked.isdigit() and int(asked) > gpus:
        print(f'{asked} GPUs are asked for on this machine, which has {gpus}: ask for at most '
              f'{gpus}, or hide them (CUDA_VISIBLE_DEVICES=-1) to run on the CPU.',
              file=sys.stderr)
        return 2
    # Its table of exit codes and signals hides the workers' own sentence.
    logging.getLogger('torch.distributed.elastic').setLevel(logging.CRITICAL)
    try:
        torchrun(args)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode not in (1, 2):
            print(f'Process {rank} ended with exit code {failure.exitcode} (negative: a signal; '
                  '-9 often means that the machine ran out of memory).', file=sys.stderr)
            return 1
        return failure.exitcode
    except RuntimeError as error:
        if 'address already in use' not in str(error).lower():
            raise
        print(f'Port {args.master_port} is in use on this machine; set PORT to a free one.',
              file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
