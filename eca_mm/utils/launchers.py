"""What launchers of distributed runs tell their processes."""
import os

# What each launcher calls a process's rank, the number of processes, and the rank on its machine.
LAUNCHER_VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
}


def environment_rank() -> int:
    """Rank of this process among those that a launcher started; 0 without a launcher."""
    for name, _, _ in LAUNCHER_VARIABLES.values():
        if name in os.environ:
            return int(os.environ[name])
    return 0
