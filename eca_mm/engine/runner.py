"""mmengine's Runner with checks for long runs."""
from functools import cached_property
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import BaseLoop, CheckpointLoader, Runner
from torch import nn
from torch.utils.data import DataLoader

from eca_mm.checkpoints.finite import describe, not_finite
from eca_mm.checkpoints.keys import MisfitError, check_fit
from eca_mm.checkpoints.latest import latest_checkpoint
from eca_mm.engine.hooks.classes import CheckClassesHook
from eca_mm.engine.hooks.skipped_images import ListSkippedImagesHook
from eca_mm.utils.errors import UserError
from eca_mm.version import __version__

from .data_loaders import (
    complete,
    loads_images_unchecked,
    report_lost_batches,
    with_checked_images,
)
from .distributed import prepare_processes
from .loops import RepeatableEpochLoop, RepeatableIterLoop
from .options import check_amp
from .outputs import write_config
from .resuming import (
    resumable,
    resumed_meta,
    settings,
    tell_finished,
    tell_unused,
    weights_alone,
    without_pretrained,
)
from .values import check_values
from .weights import check_pretrained
from .work_dir_lock import holder, locked

_OWN_LOOPS = (RepeatableEpochLoop, RepeatableIterLoop)


@RUNNERS.register_module()
class CheckedRunner(Runner):
    """mmengine's Runner, with these differences.

    - Distributed runs work on CPU too (gloo).
    - A checkpoint to test or to resume from must fit the model weight by weight.
    - ``LoadImageFromFile`` loads images by :class:`eca_mm.datasets.LoadImage`. The config keeps
      the stock name, which the inferencers of mmdet and mmpretrain look for; nothing else that a
      config names is replaced.
    - A seed that was not in the config is restored before the order of the images is fixed.
    - ``on_bad_image='skip'`` in the config: images that cannot be used are left out in training,
      count as empty ones in validation and test, and are listed after each epoch.
    - ``persistent_workers=True`` is not an error with ``num_workers=0``.
    - Heads, data sets, evaluators and tested checkpoints must mean the same classes
      (:class:`eca_mm.engine.hooks.CheckClassesHook`).

    Args:
        **kwargs: All arguments of :class:`mmengine.runner.Runner`.
    """

    _must_match = False

    @classmethod
    def from_cfg(cls, cfg: Config) -> 'CheckedRunner':
        """Build a runner from a config whose numbers can be used, under any tool."""
        check_values(cfg)
        return super().from_cfg(cfg)

    def setup_env(self, env_cfg: dict) -> None:
        """Connect the processes and set up the environment."""
        if self.distributed:
            prepare_processes(self.launcher, env_cfg.get('dist_cfg', {}).get('timeout'))
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model for distributed training, if there is any."""
        if self.distributed and get_device() == 'cpu' and not is_model_wrapper(model):
            if any(isinstance(module, nn.SyncBatchNorm) for module in model.modules()):
                raise UserError("SyncBN works on GPUs only; use norm_cfg=dict(type='BN') on CPU.")
            # mmengine's defaults except for the device, which it would number like a GPU.
            model_wrapper_cfg = {
                'broadcast_buffers': False,
                'find_unused_parameters': self.cfg.get('find_unused_parameters', False),
                **(model_wrapper_cfg or {}), 'device_ids': None}
        return super().wrap_model(model_wrapper_cfg, model)

    @staticmethod
    def build_dataloader(dataloader: DataLoader | dict, *args: Any, **kwargs: Any) -> DataLoader:
        """Build a data loader whose image loading names the file that it fails on."""
        if isinstance(dataloader, dict):
            dataloader = complete(with_checked_images(dataloader))
        return report_lost_batches(Runner.build_dataloader(dataloader, *args, **kwargs))

    def set_randomness(self, seed: int | None, **kwargs) -> None:
        """Seed all generators; without a seed from the config a resumed run keeps its old one."""
        # mmengine looks for it only when the data's order is fixed already.
        super().set_randomness(self._resumed_meta.get('seed') if seed is None else seed, **kwargs)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the training loop; a ``by_epoch`` added to one of our configs selects it."""
        if isinstance(loop, dict) and loop.get('type') in {
                *_OWN_LOOPS, *(cls.__name__ for cls in _OWN_LOOPS)}:
            loop = dict(loop)
            by_epoch = loop.pop('by_epoch', None)
            if by_epoch is not None:
                loop['type'] = RepeatableEpochLoop if by_epoch else RepeatableIterLoop
        self._train_dataloader = self._skipping(self._train_dataloader)
        return super().build_train_loop(loop)

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the validation loop."""
        self._val_dataloader = self._skipping(self._val_dataloader, blank=True)
        return super().build_val_loop(loop)

    def build_test_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """Build the test loop."""
        self._test_dataloader = self._skipping(self._test_dataloader, blank=True)
        return super().build_test_loop(loop)

    def _skipping(self, dataloader: DataLoader | dict, **options) -> DataLoader | dict:
        """Make a data loader skip bad images if the config asks for it."""
        if self._list_skipped is None or not isinstance(dataloader, dict):
            return dataloader
        return with_checked_images(dataloader, on_bad_image='skip', report=self._list_skipped.path,
                                   **options)

    @cached_property
    def _list_skipped(self) -> ListSkippedImagesHook | None:
        choice = self.cfg.get('on_bad_image', 'error')
        if choice not in ('error', 'skip'):
            raise UserError(f"on_bad_image of the config must be 'error' or 'skip', but is "
                            f'{choice!r}.')
        return ListSkippedImagesHook(self.log_dir) if choice == 'skip' else None

    def register_hooks(self, *args, **kwargs) -> None:
        """Register the config's hooks and ours."""
        super().register_hooks(*args, **kwargs)
        if any(loads_images_unchecked(self.cfg.get(f'{split}_dataloader'))
               for split in ('train', 'val', 'test')):
            self.logger.info('Images are loaded and checked by eca_mm.LoadImage in place of '
                             "LoadImageFromFile, the name that mmdet's and mmpretrain's "
                             'inferencers look for in a config.')
        if self._list_skipped is not None:
            self.register_hook(self._list_skipped)

    @cached_property
    def _resumed_meta(self) -> dict:
        """The metadata of the checkpoint to resume from, if any."""
        if not self.cfg.get('resume'):
            return {}
        return resumed_meta(self.cfg.get('load_from') or latest_checkpoint(self.work_dir))

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call the hooks; a checkpoint gets the version of this package before it is saved."""
        if fn_name == 'before_save_checkpoint':
            kwargs['checkpoint']['meta'].setdefault('eca_mm_version', __version__)
        if not any(isinstance(hook, CheckClassesHook) for hook in self.hooks):
            getattr(self._check_classes, fn_name, lambda *args, **kwargs: None)(self, **kwargs)
        super().call_hook(fn_name, **kwargs)

    @cached_property
    def _check_classes(self) -> CheckClassesHook:
        # Not among the config's hooks, whose number and order are the user's.
        return CheckClassesHook()

    def _log_env(self, env_cfg: dict) -> None:
        super()._log_env(env_cfg)
        self.logger.info(f'eca_mm {__version__}')

    def dump_config(self) -> None:
        """Save the resolved config in the work directory, unless another run is training there."""
        if is_main_process() and holder(self.work_dir) is None:
            write_config(self.cfg, self.work_dir, f'{self.timestamp}.py')

    def train(self) -> nn.Module:
        """Train, alone in the work directory."""
        with locked(self.work_dir):
            return super().train()

    def load_or_resume(self) -> None:
        """Load or resume a checkpoint; automatic resuming looks in the work directory first."""
        if self._resume and self._load_from is None and not self._has_loaded:
            self._load_from = latest_checkpoint(self.work_dir)
            self._resume = self._load_from is not None
            if not self._resume:
                self.logger.warning(f'There is no checkpoint in {self.work_dir} to resume from: '
                                    'training starts from the beginning.')
        super().load_or_resume()

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """Build the optimizer; mixed precision needs a GPU."""
        check_amp(optim_wrapper)
        return super().build_optim_wrapper(optim_wrapper)

    def val(self) -> dict:
        """Validate; of a checkpoint to resume from, the weights are loaded."""
        with weights_alone(self):
            return super().val()

    def test(self) -> dict:
        """Test the checkpoint, which must fit the model."""
        self._must_match = True
        with weights_alone(self):
            return super().test()

    def resume(self, filename: str, *args, **kwargs) -> None:
        """Resume from a checkpoint, which must fit the model and hold the optimizer's state."""
        self._must_match = True
        before = settings(self)
        with resumable(filename):
            super().resume(filename, *args, **kwargs)
        tell_unused(before, settings(self), filename)
        tell_finished(self)

    def load_checkpoint(self, filename: str, map_location: Any = 'cpu', strict: bool = False,
                        **kwargs) -> dict:
        """Load weights.

        Args:
            filename (str): File or URL of the checkpoint.
            map_location (str | Callable): Where its tensors go.
            strict (bool): Whether every weight must match. When testing and resuming it must.
            **kwargs: As in mmengine.

        Returns:
            dict: The checkpoint.

        Raises:
            UserError: If weights must match and do not, or if none does.
        """
        strict = strict or self._must_match
        misfit = f'Checkpoint {filename} does not fit the model'
        try:
            checkpoint = super().load_checkpoint(filename, map_location, strict, **kwargs)
        except RuntimeError as error:
            try:
                check_fit(self._weights(), CheckpointLoader.load_checkpoint(filename, 'cpu'),
                          misfit, 'use the config that it was trained with')
            except MisfitError as reason:
                raise reason from error
            raise
        if not strict:
            check_fit(self._weights(), checkpoint, misfit, require='any')
        broken = not_finite(checkpoint.get('state_dict', checkpoint))
        if broken:
            self.logger.warning(f'Checkpoint {filename} holds {describe(broken)}: the '
                                'results of the model are meaningless.')
        if self._resume and self._must_match:
            absent = {'meta', 'message_hub', 'optimizer'} - set(checkpoint)
            if absent:
                raise UserError(f'Checkpoint {filename} cannot be resumed from, it has no '
                                f'{sorted(absent)[0]!r}; to start from its weights alone use '
                                f'--cfg-options load_from={filename}.')
        return checkpoint

    def _weights(self) -> dict:
        model = self.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        return model.state_dict()

    def _init_model_weights(self) -> None:
        if self.iter or (self._has_loaded and self._load_from is None):
            # What has been trained or loaded by load_checkpoint() stays.
            return
        # A validation has loaded weights that would be lost here: they are loaded once more.
        self._has_loaded = False
        if self._resume and self._resumed_meta:
            with without_pretrained(self.model):
                super()._init_model_weights()
            return
        for module in self.model.modules():
            check_pretrained(module)
        super()._init_model_weights()


def build_runner(config: Config) -> Runner:
    """Build the runner of a config.

    Args:
        config (Config): A resolved config with ``work_dir``.

    Returns:
        Runner: Of the config's ``runner_type``, else a :class:`CheckedRunner`.
    """
    if 'runner_type' in config:
        return RUNNERS.build(config)
    runner = CheckedRunner.from_cfg(config)
    runner.logger.info(
        'The config names no runner_type, so CheckedRunner is used: it checks images, weights and '
        'the work directory; loops, hooks and samplers are those of the config '
        '(docs/reliability.md says what ours add).')
    return runner
