"""The predictions of a test."""
from mmengine.evaluator import DumpResults
from mmengine.runner import Runner

from .config import scope


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
