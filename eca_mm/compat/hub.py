"""Our classifiers by name: ``mmpretrain.get_model``, ``list_models`` and the inferencers."""
import functools
import importlib
import sys
from os import PathLike
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import load_checkpoint
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

    mmpretrain continues with random weights, whose predictions look like any others: with a warning
    for a name or a config without ``load_from``, without one where ``load_from`` is None.
    """
    # The package has a function of the module's name.
    module: Any = importlib.import_module('mmpretrain.apis.model')
    get_model = module.get_model

    @functools.wraps(get_model)
    def with_weights(model: Any, pretrained: Any = False, *args: Any, **kwargs: Any) -> Any:
        if pretrained is True:
            pretrained = _known_weights(model)
        return get_model(model, pretrained, *args, **kwargs)

    # Other modules, the user's among them, may have imported it by name already.
    for holder in list(sys.modules.values()):
        # None stands for a module that must not be imported.
        if getattr(holder, '__dict__', {}).get('get_model') is get_model:
            holder.get_model = with_weights  # type: ignore[attr-defined]


def _known_weights(model: Any) -> Any:
    from mmpretrain.apis import ModelHub

    weights: Any = True
    if isinstance(model, Config):
        weights = model.get('load_from')
    elif isinstance(model, str | PathLike) and Path(model).suffix == '.py':
        weights = Config.fromfile(model).get('load_from')
    elif isinstance(model, str):
        weights = ModelHub.get(model).weights
    if not weights:
        named = f' ({model})' if isinstance(model, str | PathLike) else ''
        raise UserError(f'pretrained is True, but no weights are known for this model{named}: give '
                        'their path or web address as pretrained=..., or pretrained=False '
                        'for a model with random weights.')
    return weights


@functools.cache
def build_by_scope() -> None:
    """Let ``mmengine.hub.get_model`` build our configs, classifiers and detectors.

    It takes a package's name for the scope of its registries, and ours are in those of mmdet and
    mmpretrain.
    """
    from mmengine import hub

    # The package contains a module of the same name.
    module: Any = importlib.import_module('mmengine.hub.hub')
    get_model = hub.get_model

    @functools.wraps(get_model)
    def by_scope(cfg_path: str, pretrained: bool = False, **kwargs: Any) -> Any:
        if cfg_path.partition('::')[0] != 'eca_mm':
            return get_model(cfg_path, pretrained, **kwargs)
        try:
            config = hub.get_config(cfg_path, pretrained)
        except AssertionError:
            # Its way to say that the metafile names none.
            config = hub.get_config(cfg_path)
        weights = config.get('model_path')
        if pretrained and not weights:
            raise UserError(f'pretrained is True, but no weights are known for {cfg_path}: build '
                            'it with pretrained=False and load your checkpoint by '
                            'mmengine.runner.load_checkpoint.')
        with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmengine')):
            if 'data_preprocessor' in config:
                config.model.setdefault('data_preprocessor', config.data_preprocessor)
            model = MODELS.build(config.model, default_args=kwargs)
        if pretrained:
            load_checkpoint(model, weights)
            # A Runner would initialise it again.
            model._is_init = True
        return model

    hub.get_model = module.get_model = by_scope


@functools.cache
def _classifiers() -> dict:
    index = load(str(FOLDER / 'model-index.yml'))
    index.build_models_with_collections()
    models = {model.name.lower(): model for model in index.models
              if model.name.endswith(('_in1k', '_cifar10'))}
    for model in models.values():
        model.config = str(FOLDER / model.config)
    return models
