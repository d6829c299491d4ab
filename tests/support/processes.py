"""Running the command lines for real, without paying for the imports each time."""
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from pathlib import Path
from threading import Lock

import torch

ROOT = Path(__file__).resolve().parents[2]
# What torchrun, srun and mpirun call a process's rank, their number, and the rank on its machine.
_NAMES = {'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
          'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
          'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK')}
# Its children are forked from a process that has imported all and computed nothing.
_CONTEXT = multiprocessing.get_context('forkserver')
_CONTEXT.set_forkserver_preload(['eca_mm', 'tests.support.preloaded'])

_LOCK = Lock()


def _ensure_server() -> None:
    # Before Python 3.13 it does not look for its modules where this process does.
    with _LOCK:
        before = os.environ.get('PYTHONPATH')
        os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, (str(ROOT), before)))
        try:
            forkserver.ensure_running()
        finally:
            del os.environ['PYTHONPATH']
            if before is not None:
                os.environ['PYTHONPATH'] = before


def run_tool(folder: Path, tool: str, *arguments, **environment) -> subprocess.CompletedProcess:
    """Run ``tools/<tool>`` with arguments in its own process, in a working directory."""
    return _start(folder, '', tool, arguments, environment)


def run_tool_in_processes(folder: Path, world: int, tool: str, *arguments,
                          launcher: str = 'pytorch') -> list[subprocess.CompletedProcess]:
    """Run a tool in several processes that work together, as a launcher would start them."""
    port = free_port()

    def run(rank):
        environment = dict(zip(_NAMES[launcher], map(str, (rank, world, rank)), strict=True))
        return _start(folder, str(rank), tool, (*arguments, '--launcher', launcher),
                      {**environment, 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': port})

    with ThreadPoolExecutor(world) as pool:
        return list(pool.map(run, range(world)))


def run_in_processes(world: int, function, *arguments) -> list[int]:
    """Call a function of a module in processes that a launcher would have started together.

    Args:
        world: Number of processes.
        function: Called with the rank and the arguments.
        *arguments: What can be pickled.

    Returns:
        Exit codes, by rank.
    """
    port = free_port()
    _ensure_server()
    processes = [_CONTEXT.Process(target=_call, args=(function, rank, world, port, arguments))
                 for rank in range(world)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def _call(function, rank, world, port, arguments):
    os.environ.update(dict(zip(_NAMES['pytorch'], map(str, (rank, world, rank)), strict=True)),
                      MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
    torch.set_num_threads(1)
    function(rank, *arguments)


def free_port() -> str:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(('', 0))
        return str(probe.getsockname()[1])


def start_tool(folder: Path, tool: str, *arguments, name: str = '', **environment):
    """Start a tool and do not wait for it; the name keeps the output of several apart."""
    out, err = folder / f'.stdout{name}', folder / f'.stderr{name}'
    _ensure_server()
    process = _CONTEXT.Process(target=_run, args=(
        str(ROOT / 'tools' / tool), [str(a) for a in arguments], str(folder), str(out), str(err),
        environment))
    process.start()
    return process


def finish(process, folder: Path, *command, name: str = '') -> subprocess.CompletedProcess:
    """Wait for a tool that was started; what it has printed, and its exit code."""
    process.join()
    out, err = folder / f'.stdout{name}', folder / f'.stderr{name}'
    return subprocess.CompletedProcess(
        command, process.exitcode, out.read_text(), err.read_text())


def fails(result, *parts, code=1):
    """Check that a tool ended with one sentence on standard error, and with all of its parts."""
    assert result.returncode == code, result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert 'Traceback' not in result.stderr
    for part in parts:
        assert part in last, last
    assert last.endswith('.')
    return last


def _start(folder, name, tool, arguments, environment):
    process = start_tool(folder, tool, *arguments, name=name, **environment)
    return finish(process, folder, tool, *arguments, name=name)


def run_script(folder: Path, script: str, *arguments, **environment) -> subprocess.CompletedProcess:
    """Run a shell script of tools/ in a working directory, as a user would by its path."""
    return subprocess.run(
        [str(ROOT / 'tools' / script), *map(str, arguments)], cwd=folder, capture_output=True,
        text=True, timeout=600,
        env={**os.environ, 'PYTHON': sys.executable, **environment})


def _run(tool, arguments, folder, out, err, environment):
    os.chdir(folder)
    os.environ.update(environment)
    for stream, path in ((sys.stdout, out), (sys.stderr, err)):
        stream.flush()
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream.fileno())
    # Several threads would only wait for each other in such small networks.
    torch.set_num_threads(1)
    sys.argv = [tool, *arguments]
    try:
        runpy.run_path(tool, run_name='__main__')
    except Exception:
        traceback.print_exc()
        sys.exit(1)
