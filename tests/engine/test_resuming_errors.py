"""Whose fault it is that a checkpoint cannot be resumed from."""
import pytest
import torch
from mmengine.registry import HOOKS

from eca_mm.engine.resuming import resumable
from eca_mm.utils.errors import UserError


@HOOKS.register_module()
class CannotBeBuilt:

    def __init__(self):
        raise RuntimeError('no such device')


def explained():
    """An error that another part of the program explains."""
    with pytest.raises(KeyError) as caught:
        HOOKS.build({'type': 'Absent'})
    raise KeyError(*caught.value.args)


def out_of_memory():
    raise torch.cuda.OutOfMemoryError('CUDA out of memory')


@pytest.mark.parametrize(('fail', 'error'), [
    (explained, KeyError), (out_of_memory, torch.cuda.OutOfMemoryError),
    (lambda: HOOKS.build({'type': 'CannotBeBuilt'}), RuntimeError)])
def test_errors_of_others_stay_what_they_are(fail, error):
    with pytest.raises(error) as caught, resumable('a.pth'):
        fail()
    assert caught.type is error and 'a.pth' not in str(caught.value)


@pytest.mark.parametrize('error', [IndexError('too\nlong'), RuntimeError('of another size'),
                                   AttributeError()])
def test_errors_of_the_checkpoint_name_it(error):
    with pytest.raises(UserError, match=r'^Checkpoint a\.pth cannot.*\.$') as caught:
        with resumable('a.pth'):
            raise error
    assert type(error).__name__ in str(caught.value) and 'long' not in str(caught.value)
