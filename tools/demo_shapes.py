#!/usr/bin/env python
"""Draw a data set, train an ECA Mask R-CNN on it and evaluate it, in minutes on a CPU."""
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config

from eca_mm.utils.grammar import new_parser
from eca_mm.utils.terminal import say

TOOLS = Path(__file__).resolve().parent
CONFIG = TOOLS.parent / 'configs/demo/mask-rcnn_eca-r18-w32_fpn_1xb4-750it_shapes.py'
GOAL = 0.80


def call(tool: str, *arguments) -> None:
    """Run a tool and show its command; exit if it fails, as it has printed the reason."""
    command = [sys.executable, str(TOOLS / tool), *map(str, arguments)]
    say(f'\n$ {shlex.join(command)}')
    code = subprocess.call(command)
    if code:
        sys.exit(code)


def overview(folder: Path, path: Path) -> None:
    """Join the first six pictures; each has the ground truth left and the prediction right."""
    pictures = [np.asarray(cv2.imread(str(p))) for p in sorted(folder.iterdir())[:6]]
    rows = [np.hstack(pictures[i:i + 2]) for i in range(0, len(pictures) // 2 * 2, 2)]
    cv2.imwrite(str(path), np.vstack(rows))


def main() -> None:
    """Make the data, train, evaluate, show the table."""
    parser = new_parser(
        'Draw a data set of shapes, train an ECA Mask R-CNN on it and evaluate it with '
        f'pycocotools. Fails if AP of boxes or masks stays below {GOAL:.2f}. What an earlier run '
        'has done is not done again.',
        'python tools/demo_shapes.py --work-dir work_dirs/demo')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'),
                        help='for the data, checkpoints and pictures (work_dirs/demo)')
    parser.add_argument('--iters', type=int, help='training iterations (those of the config)')
    parser.add_argument('--seed', type=int, default=0, help='of the data and the training (0)')
    args = parser.parse_args()
    start, root = time.monotonic(), args.work_dir
    iters = args.iters or Config.fromfile(CONFIG).train_cfg.max_iters
    data, train, pictures = root / 'data', root / 'train', root / 'pictures'

    written = data / 'annotations/instances_val.json'
    if not written.is_file():
        call('dataset_tools/make_shapes_coco.py', data, '--num-train', 800, '--seed', args.seed)
    elif not json.loads(written.read_text())['info']['description'].endswith(f' {args.seed}'):
        sys.exit(f'{data} was not drawn with seed {args.seed}; give another --work-dir.')
    options = [f'{part}_dataloader.dataset.data_root={data}/' for part in ('train', 'test')]
    options += [f'test_evaluator.ann_file={written}',
                f'train_cfg.max_iters={iters}', f'randomness.seed={args.seed}']
    checkpoint = train / f'iter_{iters}.pth'
    if checkpoint.is_file():
        say(f'{checkpoint} is there already; delete {root} to train again.')
    else:
        call('train.py', CONFIG, '--work-dir', train, '--resume', '--cfg-options', *options)
    call('test.py', CONFIG, checkpoint, '--work-dir', root / 'test', '--show-dir', pictures,
         '--overwrite', '--cfg-options', *options)

    # mmengine names the folder by the time, so the last one is this run's.
    metrics = json.loads(max((root / 'test').glob('*/*.json')).read_text())
    overview(pictures, root / 'predictions.png')
    say(f'\nECA Mask R-CNN (ResNet-18 of half width) after {iters} iterations, shapes, val:\n\n'
        '          AP     AP50')
    for kind in ('bbox', 'segm'):
        # A detector that finds nothing at all gets no figures.
        ap, ap50 = (metrics.get(f'coco/{kind}_mAP{tail}', 0) for tail in ('', '_50'))
        say(f'    {kind}  {ap:.3f}  {ap50:.3f}')
    say(f'\nPredictions beside the ground truth: {root / "predictions.png"}, {pictures}/\n'
        f'{time.monotonic() - start:.0f} s')
    for kind in ('bbox', 'segm'):
        ap = metrics.get(f'coco/{kind}_mAP', 0)
        if ap < GOAL:
            sys.exit(f'{kind} AP is {ap:.3f}, but at least {GOAL:.2f} is expected.')


if __name__ == '__main__':
    main()
