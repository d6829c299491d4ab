"""Steps of a pipeline that spoil what comes out of it."""
from collections.abc import Iterator

from eca_mm.datasets.pipelines import walk

from .context import ConfigContext, Finding

_RESIZING = {'Resize', 'RandomResize', 'FixScaleResize', 'FixShapeResize', 'RandomChoiceResize',
             'ResizeEdge'}


def check(context: ConfigContext) -> Iterator[Finding]:
    """Look at the pipelines.

    Args:
        context (ConfigContext): The config.

    Yields:
        Finding: Annotations that are loaded before the image is resized: predictions come back in
        the image's own size, and the boxes of the ground truth would be drawn beside them. And
        images that are normalised twice, as a pipeline of MMDetection 2 does.
    """
    for data in context.datasets:
        # Of each step its type and those of the steps in it.
        steps = [{str(node.get('type')).rpartition('.')[2] for _, node in walk(step)}
                 for step in data.cfg.get('pipeline') or ()]
        if any('Normalize' in names for names in steps) and _normalises(context):
            yield Finding(
                'warning', 'pipeline', f'{data.where}.pipeline', 'images are normalised twice: by '
                'Normalize here and by the data_preprocessor of the model', 'one of the two; '
                "today's configs leave it to data_preprocessor")
        if data.split == 'train':
            continue
        loaded = [index for index, names in enumerate(steps) if 'LoadAnnotations' in names]
        resized = [index for index, names in enumerate(steps) if names & _RESIZING]
        if loaded and resized and loaded[0] < resized[-1]:
            yield Finding(
                'error', 'pipeline', f'{data.where}.pipeline', 'LoadAnnotations stands before '
                f'{min(steps[resized[-1]] & _RESIZING)}, so the boxes of the ground truth are '
                'resized with the image and drawn at the wrong place beside predictions in its own '
                'size',
                'LoadAnnotations after Resize in pipelines of validation and test')


def _normalises(context: ConfigContext) -> bool:
    """Whether the model's preprocessor changes the values of the images."""
    config = context.config
    settings = config.model.get('data_preprocessor') or config.get('data_preprocessor') or {}
    return bool(any(settings.get('mean') or ()) or any(
        value != 1 for value in settings.get('std') or ()))
