"""Test-time augmentation of detectors and classifiers."""
import copy

from mmengine.config import Config, ConfigDict

from eca_mm.utils.errors import UserError

from .config import scope

_FLIPS = [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)]
_META_KEYS = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip',
              'flip_direction')


def use_tta(config: Config) -> None:
    """Have a config tested with test-time augmentation.

    The config's ``tta_model`` and ``tta_pipeline`` say how. Without them every image is tested as
    it is and mirrored; boxes of both are merged by NMS, class scores averaged.

    Args:
        config (Config): Its model and test pipeline are changed.

    Raises:
        UserError: If masks would have to be merged, which MMDetection cannot, or a data set of the
            test has no pipeline.
    """
    detects = scope(config) == 'mmdet'
    evaluators = config.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, list | tuple) else [evaluators]:
        metrics = evaluator.get('metric') or ()
        metrics = (metrics, ) if isinstance(metrics, str) else metrics
        if detects and 'segm' in metrics:
            raise UserError('--tta merges boxes and no masks; leave the evaluation of masks out by '
                            '--cfg-options test_evaluator.metric=bbox.')
    dataset = config.test_dataloader.dataset
    while 'pipeline' not in dataset and 'dataset' in dataset:
        dataset = dataset.dataset
    if not dataset.get('pipeline'):
        raise UserError('--tta needs a test data set with a pipeline; that of the config, '
                        f'{dataset.get("type")}, has none.')
    if config.get('tta_model') is None:
        config.tta_model = dict(
            type='DetTTAModel',
            tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)) if (
                detects) else dict(type='mmpretrain.AverageClsScoreTTA')
    if config.get('tta_pipeline') is None:
        *steps, pack = copy.deepcopy(dataset.pipeline)
        if detects:
            pack.meta_keys = tuple(dict.fromkeys((*pack.get('meta_keys', ()), *_META_KEYS)))
        config.tta_pipeline = [*steps, dict(type='TestTimeAug', transforms=[_FLIPS, [pack]])]
    dataset.pipeline = config.tta_pipeline
    config.model = ConfigDict(**config.tta_model, module=config.model)
