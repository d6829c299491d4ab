"""What a run writes besides mmengine's logs and checkpoints."""
import os
from pathlib import Path

from mmengine.config import Config
from mmengine.evaluator import DumpResults
from mmengine.runner import Runner

from eca_mm.utils.atomic_files import write_atomically
from eca_mm.utils.outputs import same_file
from eca_mm.utils.results import set_aside

from .config import scope
from .inputs import with_bases


def dump_predictions(runner: Runner, path: str) -> None:
    """Have a runner write its test's predictions.

    Args:
        runner (Runner): Runner of a config of MMDetection or MMPretrain, not yet tested.
        path (str): A .pkl file: mmdet's dump (masks as RLE) or mmengine's.
    """
    if scope(runner.cfg) == 'mmdet':
        from mmdet.evaluation import DumpDetResults
        dump = DumpDetResults(out_file_path=path)
    else:
        dump = DumpResults(out_file_path=path)
    runner.test_evaluator.metrics.append(dump)


def write_config(config: Config, folder: str, default: str) -> None:
    """Write a resolved config into a work directory; no file that is there gets lost.

    A config that was read, or a base of it, stays; another file of its name is renamed.

    Args:
        config (Config): The config.
        folder (str): The work directory.
        default (str): Name of the file if the config did not come from one.
    """
    source = config.filename
    target = Path(folder, os.path.basename(source or default))
    if source and any(same_file(target, path) for path in with_bases(source)):
        return
    data = config.dump().encode()
    if target.is_file() and not target.is_symlink() and target.read_bytes() == data:
        return
    set_aside(target)
    write_atomically(data, target)
