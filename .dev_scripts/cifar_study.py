#!/usr/bin/env python
"""Train plain, SE- and ECA-ResNets on CIFAR-10 with the same seeds, and compare them.

A run that is there already is not repeated, and one that was interrupted is resumed.

    python .dev_scripts/cifar_study.py --epochs 30 --seeds 0 1 2 --data data/cifar10
"""
import argparse
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.utils.cli import run
from eca_mm.utils.results import write_results
from eca_mm.visualization.runs import read_run
from eca_mm.visualization.seed_study import study_figures, study_table

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = {'plain': '', 'SE': 'se-', 'ECA': 'eca-'}


def networks(args: argparse.Namespace) -> dict[str, tuple[str, list[str]]]:
    """What is compared.

    Args:
        args (argparse.Namespace): The command line.

    Returns:
        dict[str, tuple[str, list[str]]]: By name the beginning of the config's, and overrides.
    """
    return {**{name: (prefix, []) for name, prefix in NETWORKS.items()},
            **{f'ECA-k{k}': ('eca-', [f'model.backbone.kernel_size={k}'])
               for k in args.kernel_sizes}}


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
            if (folder / f'epoch_{args.epochs}.pth').is_file():
                continue
            config = f'configs/resnet_cifar/{prefix}resnet{args.depth}_8xb16_cifar10.py'
            found[name, seed] = [
                sys.executable, str(ROOT / 'tools/train.py'), str(ROOT / config),
                '--work-dir', str(folder),
                *(['--resume'] if (folder / 'last_checkpoint').is_file() else []),
                '--cfg-options', f'randomness.seed={seed}', f'train_cfg.max_epochs={args.epochs}',
                # The classic schedule, shortened as a whole.
                f'param_scheduler.milestones=[{args.epochs // 2},{args.epochs * 3 // 4}]',
                'train_dataloader.batch_size=128', 'default_hooks.checkpoint.max_keep_ckpts=1',
                *(f'{split}_dataloader.dataset.data_root={args.data}'
                  for split in ('train', 'val', 'test')), *options, *args.cfg_options]
    return found


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


def main() -> None:
    """Train, compare and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--depth', type=int, choices=(20, 32, 56), default=20)
    parser.add_argument('--epochs', type=int, default=200)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--kernel-sizes', type=int, nargs='+', default=[], metavar='K',
                        help='ECA with these kernel sizes in all blocks besides')
    parser.add_argument('--data', default='data/cifar10')
    parser.add_argument('--work-dirs', type=Path, default=Path('work_dirs/cifar_study'))
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
                        help='further options of tools/train.py')
    parser.add_argument('--print', action='store_true', help='print the commands, train nothing')
    args = parser.parse_args()
    for command in commands(args).values():
        print(' '.join(command), flush=True)
        if not args.print:
            subprocess.run(command, check=True)
    if args.print:
        return
    folders = {name: [work_dir(args, name, seed) for seed in args.seeds] for name in networks(args)}
    figures = study_figures({name: [read_run(str(folder)).result('accuracy/top1')
                                    for folder in paths] for name, paths in folders.items()})
    print(study_table(figures))
    for row in figures.values():
        if 'difference' in row:
            row['difference'] = asdict(row['difference'])
    write_results(figures, str(args.work_dirs / 'study.json'), overwrite=True)
    first = {name: paths[0] for name, paths in folders.items() if name in NETWORKS}
    draw(args, 'compare_runs', *first.values(), '--labels', *first)
    if args.kernel_sizes:
        draw(args, 'kernel_sweep', *(folder for paths in folders.values() for folder in paths))


def draw(args: argparse.Namespace, tool: str, *arguments: str | Path) -> None:
    """Run one of the tools that draw, into the folder of the study.

    Args:
        args (argparse.Namespace): The command line.
        tool (str): Its name.
        *arguments (str | Path): Its arguments but for the picture.
    """
    subprocess.run([
        sys.executable, str(ROOT / f'tools/visualizations/{tool}.py'), *map(str, arguments),
        '--out', str(args.work_dirs / f'{tool}.png'), '--overwrite'], check=True)


if __name__ == '__main__':
    run(main)
