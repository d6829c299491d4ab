"""Steps of a pipeline in an order that spoils what comes out of it."""
from collections.abc import Iterator

from .context import ConfigContext, Finding

_RESIZING = ('Resize', 'RandomResize', 'FixScaleResize', 'RandomChoiceResize')


def check(context: ConfigContext) -> Iterator[Finding]:
    """Look at the pipelines of validation and test.

    Args:
        context (ConfigContext): The config.

    Yields:
        Finding: Annotations that are loaded before the image is resized: predictions come back in
        the image's own size, and the boxes of the ground truth would be drawn beside them.
    """
    for data in (data for data in context.datasets if data.split != 'train'):
        steps = [str(step.get('type')).rpartition('.')[2] if isinstance(step, dict) else ''
                 for step in data.cfg.get('pipeline') or ()]
        resized = [index for index, name in enumerate(steps) if name in _RESIZING]
        if 'LoadAnnotations' in steps and resized and steps.index('LoadAnnotations') < resized[-1]:
            yield Finding(
                'error', 'pipeline', f'{data.where}.pipeline', 'LoadAnnotations stands before '
                f'{steps[resized[-1]]}, so the boxes of the ground truth are resized with the '
                'image and drawn at the wrong place beside predictions in its own size',
                'LoadAnnotations after Resize in pipelines of validation and test')
