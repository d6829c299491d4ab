"""Runners decide before they wrap the model which attentions in frozen stages are trained."""
import multiprocessing
import os

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.model.weight_init import PretrainedInit
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from eca_mm.backbones.freezing import frozen_attention
from eca_mm.engine.frozen_attention import META, checkpoint_meta
from eca_mm.engine.runner import CheckedRunner
from tests.support.marks import few_by_default
from tests.support.processes import free_port

SMALL = dict(base_channels=4, stem_channels=4, out_indices=(3, ), frozen_stages=1)
OURS = dict(type='eca_mm.ECAResNet', depth=18, **SMALL)
PLUGIN = dict(type='mmdet.ResNet', depth=50, norm_eval=False, plugins=[
    dict(cfg=dict(type='ECALayer'), position='after_conv3')], **SMALL)


@MODELS.register_module()
class FrozenAttentionModel(BaseModel):
    """A backbone whose output is to be small."""

    def __init__(self, backbone, neighbor=None, **kwargs):
        super().__init__(**kwargs)
        self.backbone = MODELS.build(backbone)
        self.neighbor = MODELS.build(neighbor) if neighbor else None

    def forward(self, inputs, mode='tensor'):
        out = self.backbone(torch.stack(inputs))[-1]
        return {'loss': (out - 1).square().mean()} if mode == 'loss' else out


class Noise(Dataset):
    """Four random images."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {'inputs': torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(index))}


def start(kind, work_dir, backbone, epochs=1, launcher='none', **options):
    """Build a runner."""
    cfg = dict(
        model=dict(type='FrozenAttentionModel', backbone=backbone), work_dir=str(work_dir),
        train_dataloader=dict(dataset=Noise(), batch_size=2,
                              sampler=dict(type='DefaultSampler', shuffle=False)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs), launcher=launcher,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.5, momentum=0.9)),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
        experiment_name=f'{work_dir.name}_{epochs}_{len(options)}', default_scope='mmengine',
        cfg=dict(model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None)),
        log_level='WARNING')
    return kind(**{**cfg, **options})


def run(*args, **options):
    """Train and return the runner."""
    runner = start(*args, **options)
    trained = frozen_stage(runner)
    runner.train()
    assert frozen_stage(runner) == trained, 'changed after the model was wrapped'
    return runner


def model_of(runner):
    return getattr(runner.model, 'module', runner.model)


def frozen_stage(runner):
    """Names of what is trained in stage 1."""
    stage = model_of(runner).backbone.layer1
    return {name for name, parameter in stage.named_parameters() if parameter.requires_grad}


def attention(runner):
    stage = model_of(runner).backbone.layer1
    return {name for name, _ in stage.named_parameters() if '.eca.' in name}


@pytest.fixture(params=[OURS, PLUGIN], ids=['ours', 'plugin'])
def backbone(request):
    return request.param


@pytest.fixture
def weights(backbone, tmp_path):
    """Checkpoints of the model with its attention and without."""
    state = MODELS.build(dict(type='FrozenAttentionModel', backbone=backbone)).state_dict()
    paths = {}
    for kind in ('with', 'without'):
        kept = {k: v for k, v in state.items() if kind == 'with' or '.eca.' not in k}
        paths[kind] = str(tmp_path / f'{kind}.pth')
        torch.save({'state_dict': kept}, paths[kind])
    return paths


def pretrained(backbone, path):
    return dict(backbone, init_cfg=dict(type='Pretrained', checkpoint=path, prefix='backbone.'))


@pytest.mark.parametrize('runner_type', few_by_default([Runner, CheckedRunner], 0))
class TestOneProcess:

    def test_load_from(self, runner_type, backbone, weights, tmp_path):
        runner = run(runner_type, tmp_path / 'a', backbone, load_from=weights['with'])
        assert frozen_stage(runner) == set()
        runner = run(runner_type, tmp_path / 'b', backbone, load_from=weights['without'])
        assert frozen_stage(runner) == attention(runner)
        start = torch.load(weights['with'])['state_dict']
        for name, value in model_of(runner).backbone.layer1.named_parameters():
            if '.eca.' not in name:
                assert value.equal(start[f'backbone.layer1.{name}'])

    def test_init_cfg_and_load_from(self, runner_type, backbone, weights, tmp_path):
        bare, full = pretrained(backbone, weights['without']), pretrained(backbone, weights['with'])
        for number, (cfg, load_from, frozen) in enumerate((
                (bare, None, False), (full, None, True), (bare, weights['with'], True),
                (full, weights['without'], True), (bare, weights['without'], False))):
            runner = run(runner_type, tmp_path / str(number), cfg, load_from=load_from)
            assert frozen_stage(runner) == (set() if frozen else attention(runner))

    def test_resume(self, runner_type, backbone, weights, tmp_path):
        for kind in ('with', 'without'):
            work_dir = tmp_path / kind
            cfg = pretrained(backbone, weights[kind])
            first = run(runner_type, work_dir, cfg)
            meta = torch.load(work_dir / 'epoch_1.pth', weights_only=False)['meta'][META]
            # Whoever saves one, with a meta of their own or without.
            first.save_checkpoint(str(work_dir), 'own.pth')
            own = torch.load(work_dir / 'own.pth', weights_only=False)['meta'][META]
            assert len(meta) == len(attention(first)) and own == meta
            assert set(meta.values()) == {kind == 'with'}
            second = run(runner_type, work_dir, cfg, epochs=2, resume=True)
            assert frozen_stage(second) == frozen_stage(first)
            assert second.epoch == 2
        # Started from rather than resumed: what it has is loaded.
        third = run(runner_type, tmp_path / 'third', backbone,
                    load_from=str(tmp_path / 'without/epoch_2.pth'))
        assert frozen_stage(third) == set()


def named(path, prefix='backbone.', **more):
    return dict(type='Pretrained', checkpoint=path, prefix=prefix, **more)


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Weights of our model with its attention, without, and as saved inside its DDP wrapper."""
    folder = tmp_path_factory.mktemp('weights')
    state = MODELS.build(dict(type='FrozenAttentionModel', backbone=OURS)).state_dict()
    content = {'with': state, 'without': {k: v for k, v in state.items() if '.eca.' not in k},
               'wrapped': {f'module.{k}': v for k, v in state.items()}}
    for name, weights in content.items():
        torch.save({'state_dict': weights}, folder / f'{name}.pth')
    return {name: str(folder / f'{name}.pth') for name in content}, state


@pytest.mark.parametrize(('init_cfg', 'outer', 'load_from', 'frozen'), [
    (None, None, 'wrapped', True),
    (dict(prefix='backbone'), None, None, True),
    (dict(checkpoint='wrapped', prefix='module.backbone.'), None, None, True),
    (dict(type=PretrainedInit), None, None, True),
    ([dict(type='Kaiming', layer='Conv2d'), {}], None, None, True),
    # A part of the model loads its weights whatever the whole loads.
    ({}, 'without', None, True),
    (None, 'with', None, True),
    (dict(type='Kaiming', layer='Conv2d'), None, None, False),
], ids=str)
def test_what_is_frozen_is_what_is_loaded(files, tmp_path, init_cfg, outer, load_from, frozen):
    paths, state = files

    def complete(cfg):
        cfg = {**named('with'), **cfg} if cfg.get('type') != 'Kaiming' else cfg
        return {**cfg, 'checkpoint': paths[cfg['checkpoint']]} if 'checkpoint' in cfg else cfg

    configs = [complete(cfg) for cfg in init_cfg] if isinstance(init_cfg, list) else (
        None if init_cfg is None else complete(init_cfg))
    model = dict(type='FrozenAttentionModel', backbone=dict(OURS, init_cfg=configs),
                 init_cfg=outer and dict(type='Pretrained', checkpoint=paths[outer]))
    runner = start(Runner, tmp_path, None, model=model, load_from=load_from and paths[load_from])
    assert frozen_stage(runner) == (set() if frozen else attention(runner))
    runner._init_model_weights()
    runner.load_or_resume()
    for name in attention(runner):
        value = runner.model.get_parameter(f'backbone.layer1.{name}')
        assert value.equal(state[f'backbone.layer1.{name}']) == frozen


def test_each_part_goes_by_its_own_weights(files, tmp_path):
    paths, _ = files
    model = dict(type='FrozenAttentionModel', backbone=OURS,
                 neighbor=pretrained(OURS, paths['with']))
    loaded = MODELS.build(dict(model, neighbor=OURS))
    loaded.neighbor.load_state_dict(MODELS.build(OURS).state_dict())
    for each in (model, loaded):
        found = frozen_attention(start(Runner, tmp_path, None, model=each).model)
        assert found == {f'{part}.layer1.{block}.eca': part == 'neighbor'
                         for part in ('backbone', 'neighbor') for block in range(2)}


def test_what_a_model_has_loaded_already_counts(files, tmp_path):
    model = MODELS.build(dict(type='FrozenAttentionModel', backbone=OURS))
    model.load_state_dict(files[1])
    assert frozen_stage(start(Runner, tmp_path, None, model=model)) == set()


def test_a_checkpoint_of_an_earlier_run_counts_only_when_it_is_resumed_from(files, tmp_path):
    os.link(files[0]['with'], tmp_path / 'epoch_1.pth')
    runner = start(Runner, tmp_path, OURS)
    assert frozen_stage(runner) == attention(runner)
    # Without a record, its weights decide; they do for what a record lacks, too.
    assert frozen_stage(start(Runner, tmp_path, OURS, resume=True)) == set()
    torch.save({'state_dict': files[1], 'meta': {META: {'backbone.layer1.0.eca': False}}},
               tmp_path / 'epoch_2.pth')
    found = frozen_stage(start(Runner, tmp_path, OURS, resume=True))
    assert found == {'0.eca.conv.weight'}


def test_a_runner_that_only_tests_reads_nothing(files, tmp_path):
    # Nor does one that could train as well end for want of these weights.
    start(Runner, tmp_path, pretrained(OURS, 'absent.pth'))
    for path in ('absent.pth', files[0]['with']):
        model = dict(type='FrozenAttentionModel', backbone=pretrained(OURS, path))
        runner = Runner(model=model, work_dir=str(tmp_path), experiment_name='only_tests')
        assert frozen_stage(runner) == attention(runner)
    # What has no frozen stage has nothing to record.
    runner.model.backbone = MODELS.build(dict(OURS, frozen_stages=-1))
    assert checkpoint_meta(runner) == {}


def _process(rank, port, folder, kind, launcher, backbone, load_from, queue):
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=port, RANK=str(rank), WORLD_SIZE='2',
                      LOCAL_RANK=str(rank))
    torch.set_num_threads(1)
    if kind is Runner:
        torch.distributed.init_process_group('gloo')
    for epochs, options in ((1, {'load_from': load_from}), (2, {'resume': True})):
        runner = run(kind, folder, backbone, epochs, launcher, **options)
        assert isinstance(runner.model, nn.parallel.DistributedDataParallel)
        queue.put((frozen_stage(runner), {name: value.tolist() for name, value in model_of(
            runner).backbone.layer1.named_parameters()}))
        torch.distributed.barrier()


@pytest.mark.parametrize('kind', few_by_default(['with', 'without'], 1))
@pytest.mark.parametrize('runner_type', few_by_default([Runner, CheckedRunner], 1))
def test_two_processes(runner_type, kind, backbone, weights, tmp_path):
    context = multiprocessing.get_context('fork')
    queue, port = context.Queue(), free_port()
    processes = [context.Process(target=_process, args=(
        rank, port, tmp_path / 'run', runner_type, 'pytorch', backbone, weights[kind], queue))
        for rank in range(2)]
    for process in processes:
        process.start()
    results = [queue.get(timeout=240) for _ in range(4)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    start = torch.load(weights['with'])['state_dict']
    for trained, values in results:
        assert trained == {name for name in values if kind == 'without' and '.eca.' in name}
        for name, value in values.items():
            learned = value != start[f'backbone.layer1.{name}'].tolist()
            assert learned == (name in trained), name
    for epoch in (results[:2], results[2:]):
        assert epoch[0][1] == epoch[1][1], 'the processes differ'
