"""What models cost and what the paper says they cost."""
from .complexity import Complexity, build_model, count_parameters, measure_complexity

__all__ = ['Complexity', 'build_model', 'count_parameters', 'measure_complexity']
