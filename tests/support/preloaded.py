"""Everything that the command lines import, for the process that theirs are forked from."""
import gc
import os

import matplotlib.backends.backend_agg  # noqa: F401
import mmdet.apis  # noqa: F401
import mmdet.engine  # noqa: F401
import mmdet.visualization  # noqa: F401
import mmpretrain.apis  # noqa: F401
import torch.utils.cpp_extension  # noqa: F401

import eca_mm.config_check  # noqa: F401
import eca_mm.engine  # noqa: F401

# The first entry is there for this module to be found.
os.environ['PYTHONPATH'] = os.environ['PYTHONPATH'].partition(os.pathsep)[2]
# mmengine's data sets collect garbage: forked processes need not look through all modules again.
gc.freeze()
