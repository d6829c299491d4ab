"""A batch that a data worker cannot hand over is an error, under stock runners too."""
import pytest
from torch.utils.data import DataLoader, Dataset

from eca_mm.datasets import CheckedCocoDataset
from eca_mm.datasets.repeatable import SeedSample
from tests.support import samples


class Seeded(Dataset):
    """Samples of which the loader's queue cannot take one, as if /dev/shm were full."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return SeedSample()({'sample_idx': index, 'held': (lambda: index) if index else None})


def loaded(dataset, **options):
    # Without the error the loader would wait; its own limit ends the test then.
    return list(DataLoader(dataset, None, num_workers=1, timeout=20, **options))


def test_in_training():
    with pytest.raises(Exception, match="Can't (pickle|get local)"):
        loaded(Seeded())


@pytest.mark.slow
def test_in_testing(tmp_path):
    samples.draw_coco(tmp_path)
    dataset = CheckedCocoDataset(
        ann_file='annotations.json', data_root=str(tmp_path), data_prefix={'img': 'images/'},
        metainfo={'classes': samples.CLASSES}, test_mode=True,
        pipeline=[lambda sample: {'held': lambda: sample}])
    with pytest.raises(Exception, match="Can't (pickle|get local)"):
        loaded(dataset)


def test_no_other_process_is_changed():
    from multiprocessing.queues import Queue
    SeedSample()({})
    assert Queue._on_queue_feeder_error.__module__ == 'multiprocessing.queues'
