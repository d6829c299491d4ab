"""What a test leaves behind: predictions and pictures."""
import os

from mmengine.config import Config
from mmengine.evaluator import DumpResults
from mmengine.runner import Runner

from eca_mm.utils.errors import UserError

from .config import scope


def draw_predictions(config: Config, folder: str) -> None:
    """Turn on the config's visualization hook for every image of the test.

    Args:
        config (Config): A config of MMDetection or MMPretrain.
        folder (str): Where the pictures go.

    Raises:
        UserError: If the config has no visualization hook to turn on.
    """
    hook = (config.get('default_hooks') or {}).get('visualization')
    if hook is None:
        raise UserError('--show-dir needs an entry visualization=dict(type=...) in the '
                        "config's default_hooks; the default runtimes have one.")
    # mmdet joins the folder to the work directory, where only an absolute one stays itself.
    folder = os.path.abspath(folder)
    if scope(config) == 'mmdet':
        hook.update(draw=True, test_out_dir=folder)
    else:
        hook.update(enable=True, out_dir=folder, interval=1)


def dump_predictions(runner: Runner, path: str) -> None:
    """Have a runner write its test's predictions.

    Args:
        runner (Runner): Runner of a config of MMDetection or MMPretrain, not yet tested.
        path (str): A .pkl file: mmdet's dump (masks as RLE) or mmengine's.
    """
    if scope(runner.cfg) == 'mmdet':
        from mmdet.evaluation import DumpDetResults as Dump
    else:
        Dump = DumpResults
    runner.test_evaluator.metrics.append(Dump(out_file_path=path))
