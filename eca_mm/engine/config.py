"""Reading a config so that a misspelt key is reported, not ignored."""
import inspect
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from eca_mm.compat.data_files import SUFFIXES, load_data_file
from eca_mm.utils.config_names import config_path
from eca_mm.utils.errors import UserError
from eca_mm.utils.outputs import keep_data
from eca_mm.utils.signatures import nearest
from eca_mm.utils.terminal import printable

from .inputs import input_files
from .old_settings import old_settings
from .values import check_values

# Keys that mmengine reads from the config besides the arguments of its Runner.
_OTHER_KEYS = {'model_wrapper_cfg', 'find_unused_parameters', 'sync_bn', 'compile', 'runner_type',
               'activation_checkpointing', 'efficient_conv_bn_eval', 'custom_imports',
               # Ours, see CheckedRunner.
               'on_bad_image'}
_DEFAULT_HOOKS = {'runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler',
                  'checkpoint', 'visualization'}


def load_config(path: str, options: dict | None = None, checked: bool = True) -> Config:
    """Read a config file, apply overrides and look for misspelt keys.

    Args:
        path (str): A config file (.py, .yml, .yaml or .json), or ``eca_mm::FOLDER/NAME.py``.
        options (dict, optional): Overrides by dotted key, as ``--cfg-options`` gives them.
        checked (bool): Whether to look for misspelt keys.

    Returns:
        Config: The resolved config.

    Raises:
        UserError: If the file, one of its bases or an override cannot be used, if a top-level
            key is nearly one that mmengine knows, or if it names a file that the running command
            would write over.
    """
    path = config_path(path)
    if not os.path.isfile(path):
        raise UserError(f'Config file {printable(path)} does not exist; give the path '
                        'of a .py, .yml or .json config.')
    try:
        # A .py config is a program; the others are values, and stay so.
        config = load_data_file(path) if path.endswith(SUFFIXES) else Config.fromfile(path)
    except UserError:
        raise
    except Exception as error:
        # A config is a program: any error while it runs is the config's.
        raise UserError(f'Config file {path} cannot be read: {_first_cause(error)}.') from error
    for key, value in (options or {}).items():
        try:
            config.merge_from_dict({key: value})
        except Exception as error:
            raise UserError(f'--cfg-options {key}={value} does not fit the config: '
                            f'{_one_line(error)}.') from error
    keep_data(input_files(config))
    if checked:
        check_keys(config)
    return config


def check_keys(config: Config) -> None:
    """Look for misspelt and lacking keys at the top of a config.

    mmengine ignores keys that it does not know, so that ``custom_hook=[...]`` does nothing.

    Args:
        config (Config): A resolved config.

    Raises:
        UserError: Naming the key and the one that is probably meant, today's place of settings
            that older versions read, or what is lacking.
    """
    old = [f'{key} (now {place})' for key, place in old_settings(config)]
    if old:
        raise UserError('The config has settings of MMDetection 2 or older, or in the wrong place, '
                        f'which nothing reads any more: {"; ".join(old)}.')
    for where, key, near in misspelt_keys(config):
        kind = f'entry of {where},' if where else 'key'
        raise UserError(f'The config has an unknown {kind} {key!r}: if {near!r} is meant, correct '
                        'it; a variable of your own needs another name.')
    check_parts(config)


def check_parts(config: Config) -> None:
    """Look for parts that a config lacks.

    Args:
        config (Config): A resolved config.

    Raises:
        UserError: If it has no model, or only some of what training, validation or testing needs,
            or a number that cannot be used.
    """
    if 'model' not in config:
        raise UserError("The config has no 'model'; write one or inherit it by _base_.")
    for part, needs in (('training', ('train_dataloader', 'train_cfg', 'optim_wrapper')),
                        ('validation', ('val_dataloader', 'val_cfg', 'val_evaluator')),
                        ('testing', ('test_dataloader', 'test_cfg', 'test_evaluator'))):
        absent = [key for key in needs if config.get(key) is None]
        if 0 < len(absent) < len(needs):
            raise UserError(f'The config has no {" and no ".join(absent)}, but {part} needs all '
                            f'of {", ".join(needs)}.')
    check_values(config)


def misspelt_keys(config: Config) -> Iterator[tuple[str, str, str]]:
    """Find top-level keys, and entries of ``default_hooks``, that are nearly one of mmengine's.

    Plain variables of a config are keys too; only a near miss is a mistake.

    Args:
        config (Config): A resolved config.

    Yields:
        tuple[str, str, str]: Where (``''`` or ``'default_hooks'``), the key, and what is meant.
    """
    known = set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}
    for where, keys, allowed in (
            ('', config.keys(), known | _OTHER_KEYS),
            ('default_hooks', config.get('default_hooks'), _DEFAULT_HOOKS)):
        for key in sorted(set(keys if isinstance(keys, Iterable) else ()) - allowed, key=str):
            near = nearest(key, allowed, cutoff=0.85)
            if near and not key.startswith(f'{near}_'):
                yield where, key, near


def use_work_dir(config: Config, path: str, work_dir: str | None) -> None:
    """Set and make the config's work directory.

    Args:
        config (Config): The config; its ``work_dir`` is set.
        path (str): The config file; names the default, ``work_dirs/<config name>``.
        work_dir (str, optional): From the command line; takes precedence over the config.

    Raises:
        UserError: If the directory cannot be made or written to.
    """
    chosen = work_dir or config.get('work_dir') or os.path.join('work_dirs', Path(path).stem)
    config.work_dir = chosen
    try:
        os.makedirs(chosen, exist_ok=True)
        with tempfile.TemporaryFile(dir=chosen):
            pass
    except OSError as error:
        raise UserError(f'Work directory {chosen} cannot be written to ({error.strerror}); choose '
                        'another by --work-dir.') from error


def scope(config: Config) -> str:
    """Name of the library whose registries the config starts from, e.g. ``'mmdet'``."""
    return config.get('default_scope') or 'mmengine'


def current_scope() -> str:
    """Name of the scope that is being built in."""
    current = DefaultScope.get_current_instance()
    return 'mmengine' if current is None else current.scope_name


def _first_cause(error: BaseException) -> str:
    while error.__cause__ or (isinstance(error.__context__, SyntaxError)):
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return _one_line(error)


def _one_line(error: BaseException) -> str:
    text = ' '.join(str(error).split()).rstrip('.')
    known = isinstance(error, OSError | SyntaxError) and text
    return text if known else f'{type(error).__name__}: {text}'
