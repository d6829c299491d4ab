"""The device that tests marked gpu run on."""
import os

import pytest
import torch


@pytest.fixture
def device() -> torch.device:
    """A GPU; the CPU if the tests are rehearsed with ``ECA_MM_REHEARSE_GPU=1``."""
    if os.environ.get('ECA_MM_REHEARSE_GPU'):
        return torch.device('cpu')
    if not torch.cuda.is_available():
        pytest.skip('needs a GPU; ECA_MM_REHEARSE_GPU=1 runs it on the CPU')
    return torch.device('cuda', torch.cuda.current_device())
