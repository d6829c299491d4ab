"""Starting the processes' group, on GPUs and without."""
import datetime
import os
import subprocess

import torch
from mmengine.device import get_device
from torch import distributed

from eca_mm.utils.errors import UserError
from eca_mm.utils.launchers import LAUNCHER_VARIABLES


def prepare_processes(launcher: str, timeout: float | None = None) -> None:
    """Check what the launcher started and, without GPUs, connect the processes by gloo.

    On GPUs mmengine connects them itself (NCCL); on CPU it would fail to select a GPU.

    Args:
        launcher (str): ``'pytorch'`` (torchrun), ``'slurm'`` or ``'mpi'``.
        timeout (float, optional): Seconds that a process waits for another. PyTorch's default
            when None.

    Raises:
        UserError: If the launcher's environment variables are absent, MPI's processes on several
            machines do not know where to meet, or there are fewer GPUs than processes.
    """
    names = LAUNCHER_VARIABLES[launcher]
    absent = [name for name in names if name not in os.environ]
    if absent:
        raise UserError(f'--launcher {launcher} needs the environment variable {absent[0]}: start '
                        'the tool with tools/dist_train.sh, tools/dist_test.sh, srun or mpirun.')
    rank, world_size, local_rank = (os.environ[name] for name in names)
    if torch.cuda.is_available():
        gpus = torch.cuda.device_count()
        if int(local_rank) >= gpus:
            raise UserError(f'{int(local_rank) + 1} GPUs are asked for on this machine, which has '
                            f'{gpus}: start no more processes than there are GPUs.')
    if launcher == 'mpi' and 'MASTER_ADDR' not in os.environ:
        # Nobody else sets it: mmengine asks for it, and other machines would wait for this one.
        if os.environ.get('OMPI_COMM_WORLD_LOCAL_SIZE', world_size) != world_size:
            raise UserError('--launcher mpi on several machines needs the address of the first: '
                            'start it by mpirun -x MASTER_ADDR=<its name>.')
        os.environ['MASTER_ADDR'] = '127.0.0.1'
    if get_device() != 'cpu' or distributed.is_initialized():
        return
    os.environ.update(RANK=rank, WORLD_SIZE=world_size, LOCAL_RANK=local_rank)
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_host()
    limit = {} if timeout is None else {'timeout': datetime.timedelta(seconds=timeout)}
    distributed.init_process_group('gloo', **limit)


def _first_host() -> str:
    """The machine where all processes rendezvous."""
    nodes = os.environ.get('SLURM_NODELIST')
    if nodes is None:
        return '127.0.0.1'
    try:
        hosts = subprocess.run(['scontrol', 'show', 'hostnames', nodes], capture_output=True,
                               text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f'Cannot ask Slurm for the first of the machines {nodes} ({error}); set '
                        'MASTER_ADDR to its name.') from error
    return hosts.stdout.split()[0]
