#!/usr/bin/env python
"""Train plain, SE- and ECA-ResNets on CIFAR-10 with the same seeds, and compare them.

A run that is there already is not repeated, and one that was interrupted is resumed.

    python .dev_scripts/cifar_study.py --epochs 30 --seeds 0 1 2 --data data/cifar10
    python .dev_scripts/cifar_study.py --epochs 30 --seeds 0 1 2 --report --docs
"""
import argparse
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.layers.eca import eca_kernel_size
from eca_mm.utils.cli import run
from eca_mm.utils.errors import UserError
from eca_mm.utils.results import write_results
from eca_mm.visualization.compare_runs import draw_comparison, validation_results
from eca_mm.visualization.kernel_sweep import draw_kernel_sweep, swept
from eca_mm.visualization.runs import Run, read_run
from eca_mm.visualization.seed_study import study_figures, study_table
from eca_mm.visualization.style import save_picture

ROOT = Path(__file__).resolve().parents[1]
METRIC = 'accuracy/top1'
NETWORKS = {'plain': '', 'SE': 'se-', 'ECA': 'eca-'}
# Adaptive k is the same in all three stages: ECA with this k is trained already.
ADAPTIVE, = {eca_kernel_size(channels) for channels in (16, 32, 64)}


def networks(args: argparse.Namespace) -> dict[str, tuple[str, list[str]]]:
    """What is compared.

    Args:
        args (argparse.Namespace): The command line.

    Returns:
        dict[str, tuple[str, list[str]]]: By name the beginning of the config's, and overrides.
    """
    return {**{name: (prefix, []) for name, prefix in NETWORKS.items()},
            **{f'ECA-k{k}': ('eca-', [f'model.backbone.kernel_size={k}'])
               for k in args.kernel_sizes if k != ADAPTIVE}}


def commands(args: argparse.Namespace) -> dict[tuple[str, int], list[str]]:
    """The training of every network with every seed that is not finished yet.

    Args:
        args (argparse.Namespace): The command line.

    Returns:
        dict[tuple[str, int], list[str]]: By network and seed.
    """
    found = {}
    # By seed first: an interrupted study has whole seeds.
    for seed in args.seeds:
        for name, (prefix, options) in networks(args).items():
            folder = work_dir(args, name, seed)
            if finished(args, folder) or (name not in NETWORKS and seed not in args.kernel_seeds):
                continue
            config = f'configs/resnet_cifar/{prefix}resnet{args.depth}_8xb16_cifar10.py'
            found[name, seed] = [
                sys.executable, str(ROOT / 'tools/train.py'), str(ROOT / config),
                '--work-dir', str(folder),
                *(['--resume'] if (folder / 'last_checkpoint').is_file() else []),
                '--cfg-options', f'randomness.seed={seed}', f'train_cfg.max_epochs={args.epochs}',
                f'param_scheduler.milestones=[{",".join(map(str, milestones(args.epochs)))}]',
                'train_dataloader.batch_size=128', 'default_hooks.checkpoint.max_keep_ckpts=1',
                *(f'{split}_dataloader.dataset.data_root={args.data}'
                  for split in ('train', 'val', 'test')), *options, *args.cfg_options]
    return found


def milestones(epochs: int) -> list[int]:
    """After how many epochs the learning rate falls: the classic schedule, shortened as a whole.

    Args:
        epochs (int): All epochs.

    Returns:
        list[int]: One or two numbers of epochs.
    """
    return sorted({max(1, epochs // 2), max(1, epochs * 3 // 4)})


def work_dir(args: argparse.Namespace, name: str, seed: int) -> Path:
    """Where a run is.

    Args:
        args (argparse.Namespace): The command line.
        name (str): The network.
        seed (int): The seed.

    Returns:
        Path: Its work directory.
    """
    return args.work_dirs / f'{name.lower()}-resnet{args.depth}-e{args.epochs}-s{seed}'


def finished(args: argparse.Namespace, folder: Path) -> Run | None:
    """Read a run if it has reached its last epoch.

    Args:
        args (argparse.Namespace): The command line.
        folder (Path): Its work directory.

    Returns:
        Run | None: The run; None if it has not been trained to the end.

    Raises:
        UserError: If it was stopped between its last epoch and the validation.
    """
    if not (folder / f'epoch_{args.epochs}.pth').is_file():
        return None
    found = read_run(str(folder))
    # Checkpoints are saved before the epoch is validated.
    if not found.validations or found.validations[-1]['step'] < found.training[-1]['step']:
        raise UserError(f'{folder} was stopped before its last epoch was validated; delete '
                        f'{folder}/epoch_{args.epochs}.pth and last_checkpoint to train it again.')
    return found


def main() -> None:
    """Train, compare and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--depth', type=int, choices=(20, 32, 56), default=20)
    parser.add_argument('--epochs', type=int, default=200)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--kernel-sizes', type=int, nargs='+', default=[], metavar='K',
                        help='ECA with these kernel sizes in all blocks besides; '
                             f'{ADAPTIVE} is that of adaptive k and not trained twice')
    parser.add_argument('--kernel-seeds', type=int, nargs='+', metavar='SEED',
                        help='seeds of these (default: --seeds)')
    parser.add_argument('--data', default='data/cifar10')
    parser.add_argument('--work-dirs', type=Path, default=Path('work_dirs/cifar_study'))
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
                        help='further options of tools/train.py')
    parser.add_argument('--print', action='store_true', help='print the commands, train nothing')
    parser.add_argument('--report', action='store_true',
                        help='train nothing, compare the runs that are finished')
    parser.add_argument('--docs', action='store_true',
                        help='write the results and pictures into the documentation, too')
    args = parser.parse_args()
    args.kernel_seeds = args.seeds if args.kernel_seeds is None else args.kernel_seeds
    for command in {} if args.report else commands(args).values():
        print(' '.join(command), flush=True)
        if not args.print:
            subprocess.run(command, check=True)
    if not args.print:
        report(args)


def report(args: argparse.Namespace) -> None:
    """Compare what is finished: study.json, a table and pictures.

    Args:
        args (argparse.Namespace): The command line.

    Raises:
        UserError: If not every network of the study has a finished run.
    """
    runs = {name: {seed: found for seed in args.seeds
                   if (found := finished(args, work_dir(args, name, seed)))}
            for name in networks(args)}
    runs = {name: by_seed for name, by_seed in runs.items() if by_seed or name in NETWORKS}
    figures = study_figures({name: {seed: found.result(METRIC) for seed, found in by_seed.items()}
                             for name, by_seed in runs.items()})
    print(study_table(figures))
    write_results(dict(
        depth=args.depth, epochs=args.epochs, milestones=milestones(args.epochs),
        networks={name: {**row, **({'difference': asdict(row['difference'])}
                                   if row.get('difference') else {})}
                  for name, row in figures.items()}),
        str(args.work_dirs / 'study.json'), overwrite=True)
    common = [seed for seed in args.seeds if all(seed in runs[name] for name in NETWORKS)]
    if common:
        first = {name: runs[name][common[0]] for name in NETWORKS}
        save_picture(draw_comparison(first, validation_results(first)),
                     str(args.work_dirs / 'compare_runs.png'))
    if args.kernel_sizes:
        points = [swept(found, METRIC) for by_seed in runs.values() for found in by_seed.values()]
        save_picture(draw_kernel_sweep([
            replace(point, kernel=ADAPTIVE) if point.kernel == 'adaptive' else point
            for point in points], METRIC), str(args.work_dirs / 'kernel_sweep.png'))
    if args.docs:
        from cifar_pages import write_pages
        write_pages(args.work_dirs, ROOT / 'docs')


if __name__ == '__main__':
    run(main)
