"""Our classifiers by name: ``mmpretrain.get_model``, ``list_models`` and the inferencers."""
import functools
import importlib
import warnings
from pathlib import Path
from typing import Any

from modelindex.load_model_index import load

from eca_mm.utils.errors import UserError

FOLDER = Path(__file__).parents[1] / '.mim'


@functools.cache
def install() -> None:
    """Let mmpretrain's hub list our classifiers beside its own; further calls do nothing.

    The metafiles are read when the hub is first asked, not on import. Detectors are not listed:
    the hub builds in mmpretrain's scope only, and ``DetInferencer`` takes their config's path.
    """
    # Not before mmcv has its operators.
    from mmpretrain.apis import ModelHub

    register_theirs = ModelHub._register_mmpretrain_models

    def register() -> None:
        register_theirs()
        for name, model in _classifiers().items():
            ModelHub._models_dict.setdefault(name, model)

    ModelHub._register_mmpretrain_models = staticmethod(register)


@functools.cache
def refuse_random_weights() -> None:
    """Make ``pretrained=True`` an error for a model without known weights.

    mmpretrain warns and goes on with random weights, whose predictions look like any others.
    """
    # The package has a function of the module's name.
    module: Any = importlib.import_module('mmpretrain.apis.model')
    module.warnings = _Refusing()


class _Refusing:
    """The module ``warnings`` but for one warning, which is an error."""

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)

    def warn(self, message: Any, *args: Any, **kwargs: Any) -> None:
        """Warn, or refuse."""
        if 'Unable to find pre-defined checkpoint' in str(message):
            raise UserError('pretrained is True, but no weights are known for this model: give '
                            'their path or web address as pretrained=..., or pretrained=False '
                            'for a model with random weights.')
        kwargs.setdefault('stacklevel', 2)
        warnings.warn(message, *args, **kwargs)


@functools.cache
def _classifiers() -> dict:
    index = load(str(FOLDER / 'model-index.yml'))
    index.build_models_with_collections()
    models = {model.name.lower(): model for model in index.models
              if model.name.endswith(('_in1k', '_cifar10'))}
    for model in models.values():
        model.config = str(FOLDER / model.config)
    return models
