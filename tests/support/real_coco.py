"""Short trainings and tests on a few real COCO images."""
import json
from pathlib import Path


def few_images(root: Path, split: str, number: int, folder: Path) -> Path:
    """Write annotations of the first images only: whole images at full size take seconds each."""
    content = json.loads((root / f'annotations/instances_{split}2017.json').read_text())
    annotated = {annotation['image_id'] for annotation in content['annotations']}
    content['images'] = [image for image in content['images'] if image['id'] in annotated][:number]
    kept = {image['id'] for image in content['images']}
    content['annotations'] = [annotation for annotation in content['annotations']
                              if annotation['image_id'] in kept]
    path = folder / f'{split}.json'
    path.write_text(json.dumps(content))
    return path


def options(name: str, root: Path, folder: Path) -> list[str]:
    """Data paths, batch and score threshold."""
    train, val = few_images(root, 'train', 2, folder), few_images(root, 'val', 1, folder)
    head = '' if name.startswith('retinanet') else '.rcnn'
    return [
        *(f'{split}_dataloader.dataset.data_root={root}/' for split in ('train', 'val', 'test')),
        f'train_dataloader.dataset.ann_file={train}',
        *(f'{split}_dataloader.dataset.ann_file={val}' for split in ('val', 'test')),
        *(f'{split}_evaluator.ann_file={val}' for split in ('val', 'test')),
        'train_dataloader.batch_size=1', f'model.test_cfg{head}.score_thr=0']


def iterations(number: int) -> list[str]:
    """Train for a number of iterations instead of epochs, and save at the end."""
    return ['train_cfg._delete_=True', 'train_cfg.by_epoch=False', f'train_cfg.max_iters={number}',
            f'train_cfg.val_interval={number}', 'log_processor.by_epoch=False',
            'default_hooks.checkpoint.by_epoch=False',
            f'default_hooks.checkpoint.interval={number}', 'default_hooks.logger.interval=1']
