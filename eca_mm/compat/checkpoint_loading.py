"""mmengine's loading of checkpoints: by our loader, and without running the config in them."""
from __future__ import annotations

import functools
import io
import os
from typing import Any

from mmengine.config import ConfigDict
from mmengine.fileio import get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.infer import BaseInferencer
from mmengine.infer import infer as mmengine_infer
from mmengine.runner import FlexibleRunner, Runner
from mmengine.runner import checkpoint as mmengine_checkpoint

from eca_mm.utils.errors import UserError

from .data_configs import config_from_text
from .downloads import load_url
from .safe_load import load_checkpoint_file, load_stream


def install() -> None:
    """Have mmengine load checkpoints from files, web addresses and object stores by our loader.

    Covers ``Runner.load_checkpoint``, resuming, ``init_cfg=Pretrained`` and the inferencers.
    """
    register = mmengine_checkpoint.CheckpointLoader.register_scheme
    register('', load_from_local, force=True)
    register((r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), load_from_ceph, force=True)
    register('pavi://', load_from_pavi, force=True)
    register(('open-mmlab://', 'openmmlab://'), load_from_openmmlab, force=True)
    # All of mmengine's schemes that end in a web address fetch it by this name.
    mmengine_checkpoint.load_url = load_from_url


def load_from_local(filename: str, map_location: Any = None) -> dict:
    """Is mmengine's loader of local files; without ``map_location`` tensors go to the CPU."""
    return without_config(load_checkpoint_file(filename, map_location or 'cpu'))


def load_from_url(*args: Any, **kwargs: Any) -> dict:
    """Is mmengine's loader of web addresses, see :func:`eca_mm.compat.downloads.load_url`."""
    return without_config(load_url(*args, **kwargs))


def load_from_ceph(filename: str, map_location: Any = None, backend: str = 'petrel') -> dict:
    """Is mmengine's loader of object stores."""
    store = get_file_backend(filename, backend_args={'backend': backend})
    content = io.BytesIO(store.get(filename))
    return without_config(load_stream(content, filename, map_location or 'cpu'))


def load_from_openmmlab(filename: str, map_location: Any = None) -> dict:
    """Is mmengine's loader of names of OpenMMLab's models, in the cache or on the web."""
    name = filename.partition('://')[2]
    name = mmengine_checkpoint.get_deprecated_model_names().get(name, name)
    place = mmengine_checkpoint.get_external_models().get(name)
    if place is None:
        raise UserError(f'{filename} names no model that mmengine knows: give a file or a web '
                        'address.')
    if place.startswith(('http://', 'https://')):
        return mmengine_checkpoint.load_from_http(place, map_location=map_location)
    return load_from_local(os.path.join(mmengine_checkpoint._get_mmengine_home(), place),
                           map_location)


def load_from_pavi(filename: str, map_location: Any = None) -> dict:
    """Refuses an internal service, whose loader runs whatever a file asks for."""
    raise UserError(f'{filename} cannot be loaded: download the file and give its path.')


def without_config(checkpoint: dict) -> dict:
    """Drop the text that mmengine would run when it resumes, ``meta['config']``.

    Args:
        checkpoint (dict): What a file holds; changed.

    Returns:
        dict: The same.
    """
    meta = checkpoint.get('meta')
    if isinstance(meta, dict):
        meta.pop('config', None)
    return checkpoint


@functools.cache
def keep_own_config() -> None:
    """Have a resumed run keep its own config's text, not the one that the checkpoint brings.

    mmengine takes the whole message hub from the checkpoint, saves it on and offers its ``cfg`` to
    inferencers, which run it.
    """
    for runner in (Runner, FlexibleRunner):
        runner.resume = _keeping_config(runner.resume)


def _keeping_config(resume: Any) -> Any:
    @functools.wraps(resume)
    def resume_keeping_config(self: Runner, *args: Any, **kwargs: Any) -> None:
        resume(self, *args, **kwargs)
        self.message_hub.update_info('cfg', self.cfg.pretty_text)

    return resume_keeping_config


@functools.cache
def forget_foreign_files() -> None:
    """Have a resumed run leave files alone that its checkpoint names outside of its own folders.

    When a better checkpoint is saved, mmengine removes the best one of before, whose path it takes
    from the checkpoint that it resumed from: any file, in a forged one; the original run's best, in
    a copied folder.
    """
    for runner in (Runner, FlexibleRunner):
        runner.resume = _forgetting(runner.resume)


def _forgetting(resume: Any) -> Any:
    @functools.wraps(resume)
    def resume_and_forget(self: Runner, *args: Any, **kwargs: Any) -> None:
        resume(self, *args, **kwargs)
        folders = [self.work_dir]
        for hook in self.hooks:
            out = getattr(hook, 'out_dir', None)
            if isinstance(hook, CheckpointHook) and out:
                folders += [out, os.path.join(out, os.path.basename(self.work_dir.rstrip('/')))]
        keep_own_files(self.message_hub.runtime_info, folders)

    return resume_and_forget


def keep_own_files(info: dict, folders: list[str]) -> None:
    """Drop or correct the checkpoints that a message hub names outside of a run's folders.

    Args:
        info (dict): ``runtime_info`` of a message hub; changed.
        folders (list[str]): Where the run saves its checkpoints.
    """
    own = {os.path.realpath(folder) for folder in folders}
    for name in [name for name in info if name == 'last_ckpt' or name.startswith('best_ckpt')]:
        path = info[name]
        if not isinstance(path, str) or '\0' in path:
            del info[name]
        elif os.path.realpath(os.path.dirname(path)) not in own or not path.endswith('.pth'):
            here = os.path.join(folders[0], os.path.basename(path))
            if path.endswith('.pth') and os.path.isfile(here):
                info[name] = here
            else:
                del info[name]
    if 'keep_ckpt_ids' in info:
        ids = info['keep_ckpt_ids']
        info['keep_ckpt_ids'] = [number for number in ids if type(number) is int] if isinstance(
            ids, list) else []


@functools.cache
def read_config_of_checkpoint() -> None:
    """Have inferencers that are given weights alone read the config in them as plain values.

    ``DetInferencer(weights=...)`` would run the text that the file holds.
    """
    init_model = BaseInferencer._init_model

    @functools.wraps(init_model)
    def init_model_from_values(self: BaseInferencer, cfg: ConfigDict, weights: str | None,
                               device: str = 'cpu') -> Any:
        if not cfg and weights is not None:
            checkpoint = mmengine_infer._load_checkpoint(weights, map_location='cpu')
            cfg.update(config_from_checkpoint(checkpoint, weights))
        return init_model(self, cfg, weights, device)

    BaseInferencer._init_model = init_model_from_values


def config_from_checkpoint(checkpoint: dict, source: str) -> ConfigDict:
    """Read the config that mmengine saves in a checkpoint, without running it.

    Args:
        checkpoint (dict): What the file holds.
        source (str): What to call it in messages.

    Returns:
        ConfigDict: The config.

    Raises:
        UserError: If it is missing, or is more than plain values of registered types.
    """
    text = None
    for path in (('message_hub', 'runtime_info', 'cfg'), ('meta', 'cfg')):
        entry: Any = checkpoint
        for name in path:
            entry = entry.get(name) if isinstance(entry, dict) else None
        text = text or entry
    if not isinstance(text, str):
        raise UserError(f'{source} holds no config: give the config file too.')
    return ConfigDict(config_from_text(text, f'The config in {source}'))
