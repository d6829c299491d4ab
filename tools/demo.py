#!/usr/bin/env python
"""Show what a classifier or detector says about pictures."""
import os

import eca_mm  # noqa: F401  (first: it makes mmdet importable without compiled mmcv)
from eca_mm.compat import load_checkpoint_file
from eca_mm.engine.config import load_config, scope
from eca_mm.utils.cli import run
from eca_mm.utils.errors import UserError
from eca_mm.utils.grammar import add_shared, check_device, new_parser
from eca_mm.utils.outputs import check_outputs


def main() -> None:
    """Parse the command line and predict."""
    parser = new_parser(
        'Draw the predictions of a classifier or detector on a picture, or on all '
        'pictures of a folder.',
        'python tools/demo.py street.jpg '
        'configs/faster_rcnn/faster-rcnn_eca-r50_fpn_4xb2-1x_coco.py epoch_12.pth '
        '--out-dir demo_pictures')
    parser.add_argument('image', help='picture, or folder of pictures')
    add_shared(parser, 'config', 'checkpoint', 'device', 'cfg-options', 'overwrite')
    parser.add_argument('--out-dir', required=True, metavar='D', help='where the pictures go')
    parser.add_argument('--score-thr', type=float, default=0.3, metavar='S',
                        help='lowest score of boxes to draw (default: 0.3)')
    args = parser.parse_args()

    if not os.path.exists(args.image):
        raise UserError(f'{args.image} does not exist; give a picture or a folder of pictures.')
    check_outputs(args, args.out_dir)
    check_device(args.device)
    config = load_config(args.config, args.cfg_options)
    # Broken files end in one sentence here, before a model is built.
    load_checkpoint_file(args.checkpoint)
    if scope(config) == 'mmdet':
        detect(args, config)
    else:
        classify(args, config)
    print(f'Pictures: {args.out_dir}')


def detect(args, config) -> None:
    """Draw boxes, and masks where the model has them."""
    from mmdet.apis import DetInferencer

    config.model.backbone.init_cfg = None
    inferencer = DetInferencer(config, args.checkpoint, device=args.device, show_progress=False)
    found = inferencer(args.image, out_dir=args.out_dir, pred_score_thr=args.score_thr,
                       no_save_pred=True)
    classes = inferencer.model.dataset_meta['classes']
    for prediction in found['predictions']:
        kept = [(score, classes[label]) for score, label in zip(
            prediction['scores'], prediction['labels'], strict=True) if score >= args.score_thr]
        print(', '.join(f'{name} {score:.2f}' for score, name in kept) or 'nothing')


def classify(args, config) -> None:
    """Write the class above the picture."""
    from mmpretrain.apis import ImageClassificationInferencer

    inferencer = ImageClassificationInferencer(config, args.checkpoint, device=args.device)
    images = args.image
    if os.path.isdir(images):
        images = [os.path.join(images, name) for name in sorted(os.listdir(images))]
    for prediction in inferencer(images, show_dir=args.out_dir):
        print(f'{prediction.get("pred_class", prediction["pred_label"])} '
              f'{prediction["pred_score"]:.2f}')


if __name__ == '__main__':
    run(main)
