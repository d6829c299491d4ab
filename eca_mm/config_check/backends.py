"""Programs that a config's visualization backends need and that are not installed."""
import importlib.util
from collections.abc import Iterator

from .context import ConfigContext, Finding

# mmengine imports them when the first figure is logged.
_MODULES = {'TensorboardVisBackend': 'tensorboard', 'WandbVisBackend': 'wandb',
            'MLflowVisBackend': 'mlflow', 'ClearMLVisBackend': 'clearml',
            'NeptuneVisBackend': 'neptune', 'DVCLiveVisBackend': 'dvclive', 'AimVisBackend': 'aim'}


def check(context: ConfigContext) -> Iterator[Finding]:
    """Look for the modules of the visualizer's backends.

    Args:
        context (ConfigContext): The config.

    Yields:
        Finding: An error for each that is not installed.
    """
    visualizer = context.config.get('visualizer') or {}
    backends = visualizer.get('vis_backends') or context.config.get('vis_backends') or []
    for index, backend in enumerate(backends):
        name = str(backend.get('type')).rpartition('.')[2]
        module = _MODULES.get(name)
        if module and importlib.util.find_spec(module) is None:
            yield Finding('error', 'backends', f'visualizer.vis_backends.{index}',
                          f'{name} needs the package {module}, which is not installed',
                          f'pip install {module}, or another backend')
