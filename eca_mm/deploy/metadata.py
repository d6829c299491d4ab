"""A trained model from its two files, and the metadata needed to run it elsewhere."""
import json
from typing import Any

from mmengine.config import Config
from torch import nn

from eca_mm.checkpoints.keys import load_fitting
from eca_mm.checkpoints.publishing import published_weights
from eca_mm.compat import load_checkpoint_file
from eca_mm.version import __version__


def load_weights(model: nn.Module, path: str) -> dict:
    """Load a checkpoint that has to fit, averaged weights (EMA) where it has them.

    Args:
        model (nn.Module): Takes the weights.
        path (str): The checkpoint, in torch's format or as ``.safetensors``.

    Returns:
        dict: What the checkpoint records about its training, such as ``dataset_meta``.

    Raises:
        MisfitError: If weights are missing, unexpected or of another shape.
        UserError: If the file cannot be read.
    """
    weights, meta = published_weights(load_checkpoint_file(path))
    load_fitting(model, weights, path)
    return meta


def metadata_of(config: Config, meta: dict) -> dict[str, str]:
    """The metadata of an exported file.

    Args:
        config (Config): The model's config.
        meta (dict): What its checkpoint records.

    Returns:
        dict[str, str]: In JSON: ``preprocessing`` (mean and std of the pixels, order of the
        channels, divisor of the padded size) and ``classes``, where they are known, and the
        version of eca_mm.
    """
    preprocessor = config.model.get('data_preprocessor') or config.get('data_preprocessor') or {}
    metadata: dict[str, Any] = {'eca_mm_version': __version__}
    # None where the pipeline normalises, as it does for four channels, say.
    if preprocessor.get('mean') is not None:
        to_rgb = preprocessor.get('bgr_to_rgb', preprocessor.get('to_rgb', False))
        metadata['preprocessing'] = dict(
            mean=list(preprocessor['mean']), std=list(preprocessor['std']),
            channels='RGB' if to_rgb else 'BGR', divisor=preprocessor.get('pad_size_divisor', 1))
    classes = (meta.get('dataset_meta') or {}).get('classes')
    if classes:
        metadata['classes'] = list(classes)
    return {key: value if isinstance(value, str) else json.dumps(value)
            for key, value in metadata.items()}
