import re
import subprocess

import pytest
import torch

from eca_mm.compat import load_checkpoint_file
from tests.support.marks import few_by_default
from tests.support.processes import fails, run_tool


def test_train_shows_its_progress_and_saves(trained_once):
    folder, results = trained_once
    for config, result in zip(('det.py', 'cls.py'), results, strict=True):
        assert result.returncode == 0, result.stderr
        assert re.search(r'Epoch\(train\) \[1\]\[1/\d\].* eta: \S+ .* loss: \d', result.stdout)
        work_dir = folder / 'work_dirs' / config[:3]
        assert load_checkpoint_file(str(work_dir / 'epoch_1.pth'))['meta']['epoch'] == 1
        # The saved config keeps the names that inferencers look for.
        assert "'LoadImageFromFile'" in (work_dir / config).read_text()


def test_the_command_line_rules(folder):
    result = run_tool(
        folder, 'train.py', 'cls.py', '--work-dir', 'my runs', '--auto-scale-lr', '--cfg-options',
        'auto_scale_lr.base_batch_size=8', 'train_cfg.max_epochs=2',
        'train_dataloader.num_workers=1')
    assert result.returncode == 0, result.stderr
    assert (folder / 'my runs' / 'epoch_2.pth').is_file()
    assert 'lr: 5.0000e-03' in result.stdout


def test_resume_continues_where_training_stopped(trained):
    once = ('--cfg-options', 'train_cfg.max_epochs=2')
    # Without anything to resume from training starts at the beginning.
    whole = run_tool(trained, 'train.py', 'cls.py', '--resume', '--work-dir', 'whole', *once)
    assert 'Epoch(train) [1]' in whole.stdout, whole.stderr
    resumed = run_tool(trained, 'train.py', 'cls.py', '--resume', *once)
    assert resumed.returncode == 0, resumed.stderr
    assert 'Epoch(train) [2]' in resumed.stdout
    assert 'Epoch(train) [1]' not in resumed.stdout
    whole, parts = (load_checkpoint_file(str(trained / path / 'epoch_2.pth'))['state_dict']
                    for path in ('whole', 'work_dirs/cls'))
    for name, weight in whole.items():
        assert torch.equal(weight, parts[name]), name
    named = run_tool(trained, 'train.py', 'cls.py', '--resume', 'whole/epoch_2.pth',
                     '--cfg-options', 'train_cfg.max_epochs=3')
    assert 'Epoch(train) [3]' in named.stdout


def test_an_earlier_run_is_set_aside_not_overwritten(trained):
    first = (trained / 'work_dirs/cls/epoch_1.pth').read_bytes()
    result = run_tool(trained, 'train.py', 'cls.py', '--cfg-options', 'randomness.seed=1')
    assert 'files of an earlier run' in result.stdout
    (kept,) = (trained / 'work_dirs/cls').glob('earlier_*/epoch_1.pth')
    assert kept.read_bytes() == first
    assert (trained / 'work_dirs/cls/epoch_1.pth').read_bytes() != first


@pytest.mark.parametrize(('options', 'parts'), [
    (('train_dataloder.batch_size=1', ), ("'train_dataloder'", "'train_dataloader'")),
    (('custom_hook=[]', ), ("'custom_hook'", "'custom_hooks'")),
    (('default_hooks.chekpoint.interval=1', ), ("'chekpoint'", "'checkpoint'")),
    (('model.backbone.type=ECAResnet', ), ("'ECAResnet'", "'ECAResNet'")),
    (('model.backbone.dept=18', ), ('ECAResNet', "'dept'", "'depth'")),
    (('model.backbone.kernel_size=4', ), ('kernel_size is 4', 'odd')),
    (('train_cfg.max_epoch=1', ), ('RepeatableEpochLoop', "'max_epoch'", "'max_epochs'")),
    (('train_dataloader.batchsize=1', ), ("'batchsize'", "'batch_size'")),
    (('optim_wrapper.optimizer.momentun=0', ), ('SGD', "'momentun'", "'momentum'")),
    (('model.neck.type=GlobalAvgPooling', ), ("'GlobalAvgPooling'", "'GlobalAveragePooling'")),
    (('train_dataloader=None', ), ('no train_dataloader', 'optim_wrapper')),
    (('custom_hooks.4.type=EMAHook', ), ('--cfg-options custom_hooks.4.type=EMAHook', )),
])
def test_a_slip_in_the_config_is_named(folder, options, parts):
    fails(run_tool(folder, 'train.py', 'cls.py', '--cfg-options', *options), *parts)


def test_a_slip_in_a_pipeline_is_named(folder):
    result = run_tool(folder, 'train.py', 'det.py', '--cfg-options',
                      'train_dataloader.dataset.pipeline.2.scal=3')
    fails(result, 'Resize', "'scal'", "'scale'")


@pytest.mark.parametrize(('text', 'parts'), [
    ('model = (', ('broken.py', 'line 1')),
    ("_base_ = 'absent.py'", ('broken.py', 'absent.py')),
    ('model = dict(depth=deep)', ('broken.py', "'deep'")),
    ('x = 1', ("no 'model'", )),
])
def test_a_broken_config_is_refused(folder, text, parts):
    (folder / 'broken.py').write_text(text)
    fails(run_tool(folder, 'train.py', 'broken.py'), *parts)


def test_an_unexpected_error_keeps_its_traceback(folder):
    # The sizes of neck and head do not fit, which has no explanation of its own.
    result = run_tool(folder, 'train.py', 'cls.py', '--cfg-options', 'model.head.in_channels=63')
    assert result.returncode == 1
    assert 'Traceback' in result.stderr
    assert 'RuntimeError' in result.stderr


def test_misuse_and_missing_files(folder):
    fails(run_tool(folder, 'train.py', 'absent.py'), 'absent.py does not exist')
    fails(run_tool(folder, 'train.py', 'cls.py', '--resume', 'absent.pth'), 'absent.pth')
    fails(run_tool(folder, 'train.py', 'cls.py', '--launcher', 'pytorch'), 'dist_train.sh')
    fails(run_tool(folder, 'train.py', 'cls.py', '--auto-scale-lr'), 'base_batch_size')
    for arguments in ((), ('cls.py', '--cfg-options', 'no_value'), ('cls.py', '--launcher', 'x')):
        assert run_tool(folder, 'train.py', *arguments).returncode == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason='it works on a GPU')
def test_amp_needs_a_gpu(folder):
    fails(run_tool(folder, 'train.py', 'cls.py', '--amp'), '--amp', 'GPU')


def test_a_work_directory_that_cannot_be_written_to(folder):
    fails(run_tool(folder, 'train.py', 'cls.py', '--work-dir', 'cls.py/runs'),
          'cls.py/runs', '--work-dir')


def test_pretrained_weights_of_another_architecture(trained):
    config = trained / 'cls.py'
    text = config.read_text() + """
model['backbone']['init_cfg'] = dict(
    type='Pretrained', checkpoint='work_dirs/cls/epoch_1.pth', prefix='{}')"""
    config.write_text(text.format('backbone.'))
    assert run_tool(trained, 'train.py', 'cls.py', '--work-dir', 'a').returncode == 0
    fails(run_tool(trained, 'train.py', 'cls.py', '--cfg-options', 'model.backbone.depth=50'),
          'work_dirs/cls/epoch_1.pth', 'ECAResNet', 'weights match', 'another shape')
    config.write_text(text.format('encoder'))
    fails(run_tool(trained, 'train.py', 'cls.py'), "'encoder.'", '0 weights match')


@pytest.mark.parametrize('workers', few_by_default([0, 1], 1))
@pytest.mark.parametrize(('damage', 'reason'), few_by_default([
    (lambda path: path.unlink(), 'No such file'),
    (lambda path: path.write_bytes(b''), '0 bytes'),
    (lambda path: path.write_bytes(path.read_bytes()[:-20]), 'truncated'),
], 2))
def test_a_bad_image_is_named(folder, workers, damage, reason):
    damage(folder / 'coco data' / 'images' / '003.jpg')
    result = run_tool(folder, 'train.py', 'det.py', '--cfg-options',
                      f'train_dataloader.num_workers={workers}')
    fails(result, str(folder / 'coco data' / 'images' / '003.jpg'), reason)


def test_a_bad_image_of_a_class_is_named(folder):
    (folder / 'classes/green/2.png').write_bytes(b'')
    fails(run_tool(folder, 'train.py', 'cls.py'), str(folder / 'classes/green/2.png'), '0 bytes')


@pytest.mark.parametrize(('config', 'image'), few_by_default(
    [('det.py', 'id 3 '), ('cls.py', 'green/0.png')], 0))
def test_a_nan_loss_stops_the_run(folder, config, image):
    # The first step throws the weights far away; the second loss is NaN or infinite.
    result = run_tool(
        folder, 'train.py', config, '--cfg-options', 'optim_wrapper.optimizer.lr=1e30',
        'default_hooks.checkpoint.interval=1', 'default_hooks.checkpoint.by_epoch=False')
    sentence = fails(result, 'iteration', image)
    assert re.search(r'loss (nan|inf)', sentence)
    for path in (folder / 'work_dirs' / config[:3]).glob('*.pth'):
        weights = load_checkpoint_file(str(path))['state_dict']
        assert all(weight.isfinite().all() for weight in weights.values())


def test_nan_weights_are_not_saved(folder):
    # The loss of the first iteration is fine, and its step overflows.
    result = run_tool(
        folder, 'train.py', 'cls.py', '--cfg-options', 'optim_wrapper.optimizer.lr=3e38',
        'model.head.loss.loss_weight=1e4',
        'default_hooks.checkpoint.interval=1', 'default_hooks.checkpoint.by_epoch=False')
    fails(result, 'not finite after iteration 1')
    assert not list((folder / 'work_dirs/cls').glob('*.pth'))


def test_a_full_disk_loses_nothing(trained):
    disk = trained / 'disk'
    disk.mkdir()
    size = (trained / 'work_dirs/cls/epoch_1.pth').stat().st_size
    mount = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={int(1.7 * size)}', 'none',
                            str(disk)], capture_output=True, text=True)
    if mount.returncode:
        pytest.skip(f'cannot mount a small file system here: {mount.stderr.strip()}')
    try:
        # With one checkpoint to keep, mmengine would remove it to make room for the next.
        result = run_tool(trained, 'train.py', 'cls.py', '--work-dir', 'disk', '--cfg-options',
                          'train_cfg.max_epochs=2', 'default_hooks.checkpoint.max_keep_ckpts=1')
        fails(result, 'epoch_2.pth', 'no space left on device', '--resume')
        saved = sorted(path.name for path in disk.iterdir() if path.is_file())
        assert saved == ['cls.py', 'epoch_1.pth', 'last_checkpoint']
        assert load_checkpoint_file(str(disk / 'epoch_1.pth'))['meta']['epoch'] == 1
        assert (disk / 'last_checkpoint').read_text().endswith('epoch_1.pth')
    finally:
        subprocess.run(['umount', str(disk)], check=True)


def test_old_checkpoints_go_when_new_ones_are_there(folder):
    with (folder / 'cls.py').open('a') as config:
        config.write('\nval_dataloader, val_cfg, val_evaluator = '
                     'test_dataloader, dict(), test_evaluator')
    result = run_tool(
        folder, 'train.py', 'cls.py', '--cfg-options', 'train_cfg.max_epochs=3',
        'default_hooks.checkpoint.max_keep_ckpts=1', 'default_hooks.checkpoint.save_best=auto')
    assert result.returncode == 0, result.stderr
    saved = sorted(path.name for path in (folder / 'work_dirs/cls').glob('*.pth'))
    assert len(saved) == 2
    assert saved[0].startswith('best_')
    assert saved[1] == 'epoch_3.pth'
