"""Our classifiers by name: ``mmpretrain.get_model``, ``list_models`` and the inferencers."""
import functools
from pathlib import Path

from mmpretrain.apis import ModelHub
from modelindex.load_model_index import load

FOLDER = Path(__file__).parents[1] / '.mim'


@functools.cache
def install() -> None:
    """Let mmpretrain's hub list our classifiers beside its own; further calls do nothing.

    The metafiles are read when the hub is first asked, not on import. Detectors are not listed:
    the hub builds in mmpretrain's scope only, and ``DetInferencer`` takes their config's path.
    """
    register_theirs = ModelHub._register_mmpretrain_models

    def register() -> None:
        register_theirs()
        for name, model in _classifiers().items():
            ModelHub._models_dict.setdefault(name, model)

    ModelHub._register_mmpretrain_models = staticmethod(register)


@functools.cache
def _classifiers() -> dict:
    index = load(str(FOLDER / 'model-index.yml'))
    index.build_models_with_collections()
    models = {model.name.lower(): model for model in index.models if '_in1k' in model.name}
    for model in models.values():
        model.config = str(FOLDER / model.config)
    return models
