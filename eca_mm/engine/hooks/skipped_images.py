"""Counting the images that a run could not use."""
import json
import logging
import os

from mmengine.dist import all_gather_object, get_rank, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner


class ListSkippedImagesHook(Hook):
    """Log, after each epoch of training, validation and test, which images were skipped.

    The data workers of every process append them to a file of that process in the run's log
    folder, ``skipped_images_<rank>.txt``, where all of them stay: a JSON list of path and reason
    in each line.

    Args:
        folder (str): The run's log folder.
    """

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, f'skipped_images_{get_rank()}.txt')
        self._seen = 0

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        lines = []
        if os.path.isfile(self.path):
            with open(self.path, encoding='utf-8') as stream:
                stream.seek(self._seen)
                lines = stream.read().splitlines()
                self._seen = stream.tell()
        found = dict(json.loads(line) for part in all_gather_object(lines) for line in part)
        if found and is_main_process():
            reasons = '\n'.join(f'  {found[path]}' for path in sorted(found)[:20])
            more = f'\n  and {len(found) - 20} more, see {self.path}' if len(found) > 20 else ''
            # mmengine's logger drops a warning that it has shown before: the epoch is in it.
            epoch = runner.epoch + (mode == 'train')
            print_log(f'{len(found)} images were skipped ({mode}, epoch {epoch}):\n'
                      f'{reasons}{more}', logger='current', level=logging.WARNING)
