"""The cost of models, measured and as published in the paper."""
from .complexity import Complexity, build_model, count_parameters, measure_complexity

__all__ = ['Complexity', 'build_model', 'count_parameters', 'measure_complexity']
