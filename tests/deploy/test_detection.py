"""Whole detectors in ONNX Runtime, beside MMDetection's own post-processing."""
import os
from pathlib import Path

import onnxruntime
import pytest
import torch
from mmdet.models.dense_heads import RetinaHead
from mmdet.models.task_modules import TBLRBBoxCoder
from mmengine.config import Config
from torch import nn

from eca_mm.analysis.complexity import build_model, data_sample
from eca_mm.deploy import fuse
from eca_mm.deploy.detection import DetectorModel
from eca_mm.deploy.detector_file import (
    Agreement,
    _count_same,
    compare_detections,
    export_detector,
    generated_images,
    read_images,
)
from eca_mm.utils.errors import UserError
from tests.conftest import REPOSITORY
from tests.support.randomize import randomize

CONFIGS = dict(
    faster='faster_rcnn/faster-rcnn_eca-r50_fpn_4xb2-1x_coco.py',
    mask='mask_rcnn/mask-rcnn_eca-r50_fpn_4xb2-1x_coco.py',
    retina='retinanet/retinanet_eca-r50_fpn_4xb2-1x_coco.py')


def config_of(name, tiny=True):
    config = Config.fromfile(REPOSITORY / 'configs' / CONFIGS[name])
    model = config.model
    model.backbone.update(init_cfg=None)
    if tiny:
        model.backbone.update(depth=18)
        model.neck.update(in_channels=[64, 128, 256, 512], out_channels=16)
        if name == 'retina':
            model.bbox_head.update(in_channels=16, feat_channels=16, stacked_convs=1)
        else:
            model.rpn_head.update(in_channels=16, feat_channels=16)
            model.roi_head.bbox_roi_extractor.out_channels = 16
            model.roi_head.bbox_head.update(in_channels=16, fc_out_channels=32, num_classes=5)
            model.test_cfg.rpn.update(nms_pre=60, max_per_img=40)
        if name == 'mask':
            model.roi_head.mask_roi_extractor.out_channels = 16
            model.roi_head.mask_head.update(in_channels=16, conv_out_channels=16, num_convs=1,
                                            num_classes=5)
    return config


def detector_of(name, tiny=True):
    """A detector with random weights that is sure of itself, and of few things equally."""
    torch.manual_seed(0)
    detector = randomize(build_model(config_of(name, tiny)))
    heads = [detector.bbox_head] if name == 'retina' else [detector.rpn_head, detector.roi_head]
    for head in heads:
        for key, weight in head.named_parameters():
            if key.endswith(('retina_cls.weight', 'rpn_cls.weight', 'fc_cls.weight')):
                nn.init.normal_(weight)
            elif key.endswith(('retina_reg.weight', 'rpn_reg.weight', 'fc_reg.weight')):
                nn.init.normal_(weight, std=.05 if tiny else .02)
    # Scores of exactly 1 would have no order.
    image = generated_images(DetectorModel(detector), (64, 96))[0]
    with torch.no_grad():
        if name == 'retina':
            logits = detector.bbox_head(detector.extract_feat(image))[0]
            detector.bbox_head.retina_cls.weight *= 1.5 / torch.cat([*map(_flat, logits)]).std()
            detector.bbox_head.retina_cls.bias.fill_(-2)
        else:
            logits = detector.rpn_head(detector.extract_feat(image))[0]
            detector.rpn_head.rpn_cls.weight *= 1.5 / torch.cat([*map(_flat, logits)]).std()
            logits = detector(image, [data_sample(64, 96)], mode='tensor')[0][0]
            detector.roi_head.bbox_head.fc_cls.weight *= 2 / logits.std()
    return detector


def _flat(x):
    return x.flatten()


def predicted(detector, image):
    """What MMDetection finds: the image padded by its preprocessor, the boxes not rescaled."""
    padded = DetectorModel(detector)._pad(image)
    sample = data_sample(*image.shape[2:])
    sample.set_metainfo(dict(batch_input_shape=tuple(padded.shape[2:])))
    with torch.no_grad():
        found = detector.predict(padded, [sample], rescale=False)[0].pred_instances
    return found.bboxes, found.scores, found.labels


@pytest.fixture(scope='module', params=['mask', 'retina'])
def exported(request, tmp_path_factory):
    """A detector and the file of its inference form."""
    detector = detector_of(request.param)
    path = tmp_path_factory.mktemp('onnx') / 'detector.onnx'
    export_detector(DetectorModel(fuse(detector)), path, (64, 96), {'classes': '["cat"]'})
    return detector, path


def test_the_detections_are_those_of_mmdetection(exported):
    detector, _ = exported
    for image in generated_images(DetectorModel(detector), (64, 96)):
        expected, found = predicted(detector, image), DetectorModel(detector)(image)
        assert len(expected[0]) > 10
        for mine, theirs in zip(expected, found, strict=False):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_a_file_finds_the_same_in_images_of_any_size(exported):
    detector, path = exported
    model = DetectorModel(detector)
    images = generated_images(model, (64, 96))
    assert [tuple(image.shape[2:]) for image in images] == [(64, 96), (49, 96), (64, 129)]
    for agreement in compare_detections(model, path, images):
        # Which of two boxes of almost the same score is the last one may differ.
        assert agreement.expected > 10 and agreement.share > .97
    session = onnxruntime.InferenceSession(str(path))
    assert session.get_inputs()[0].shape == [1, 3, 'height', 'width']
    assert [output.name for output in session.get_outputs()] == model.output_names
    assert session.get_modelmeta().custom_metadata_map == {'classes': '["cat"]'}
    # Nothing to find, not even a proposal.
    outputs = session.run(None, {'images': torch.full((1, 3, 40, 40), float('nan')).numpy()})
    assert [len(value) for value in outputs] == [0] * len(outputs)


def test_a_detector_without_masks():
    detector = detector_of('faster')
    model = DetectorModel(detector)
    assert model.output_names == ['boxes', 'scores', 'labels']
    image = generated_images(model, (64, 96))[0]
    with torch.no_grad():
        for mine, theirs in zip(predicted(detector, image), model(image), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def test_other_weights_are_noticed(exported):
    detector, path = exported
    other = DetectorModel(fuse(detector))
    with torch.no_grad():
        for parameter in other.detector.neck.parameters():
            parameter *= 1.1
    images = generated_images(other, (64, 96))[:1]
    assert compare_detections(other, path, images)[0].share < .9


def test_detections_are_counted_once():
    boxes, labels = torch.tensor([[0., 0, 9, 9], [0, 0, 9, 9.05]]), torch.tensor([1, 1])
    two, scores = (boxes, torch.tensor([.9, .9]), labels), torch.tensor([.9, float('nan')])
    assert _count_same(two, two) == 2
    assert _count_same(two, [value[:1] for value in two]) == 1
    assert _count_same(two, (boxes, scores, labels)) == 1
    assert _count_same(two, (boxes, two[1], 1 - labels)) == 0
    assert Agreement((1, 3, 8, 8), 2, 1, 1).share == .5
    assert Agreement((1, 3, 8, 8), 0, 0, 0).share == 1


def test_heads_that_compute_something_else_are_refused():
    class OwnHead(RetinaHead):

        def _predict_by_feat_single(self, *args, **kwargs):
            return super()._predict_by_feat_single(*args, **kwargs)

    detector = build_model(config_of('retina'))
    DetectorModel(detector)
    detector.bbox_head.__class__ = OwnHead
    with pytest.raises(UserError, match='OwnHead has no form in ONNX here, as only the RPN'):
        DetectorModel(detector)
    detector.bbox_head.__class__ = RetinaHead
    detector.bbox_head.test_cfg.nms = dict(type='soft_nms', iou_threshold=.5)
    with pytest.raises(UserError, match="suppresses boxes by {'type': 'soft_nms'"):
        DetectorModel(detector)
    detector.bbox_head.bbox_coder = TBLRBBoxCoder()
    with pytest.raises(UserError, match='TBLRBBoxCoder has no form'):
        DetectorModel(detector)


def test_a_classifier_is_refused():
    with pytest.raises(UserError, match='Conv2d has no form in ONNX here'):
        DetectorModel(nn.Conv2d(3, 8, 1))


def test_pictures_of_a_folder(tmp_path):
    import cv2
    import numpy as np
    detector = build_model(config_of('retina'))
    with pytest.raises(UserError, match='has no pictures'):
        read_images(tmp_path, detector, 8)
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((4, 6, 3), (1, 2, 3), np.uint8))
    cv2.imwrite(str(tmp_path / 'b.PNG'), np.zeros((4, 6, 3), np.uint8))
    image, = read_images(tmp_path, detector, 1)
    assert image.shape == (1, 3, 4, 6)
    preprocessor = detector.data_preprocessor
    red = (3 - preprocessor.mean.flatten()[0]) / preprocessor.std.flatten()[0]
    torch.testing.assert_close(image[0, 0, 0, 0], red)


@pytest.mark.slow
@pytest.mark.parametrize('name', CONFIGS)
def test_real_detectors_on_real_images(name, tmp_path):
    folder = os.environ.get('ECA_MM_COCO_ROOT')
    if not folder:
        pytest.skip('ECA_MM_COCO_ROOT is not set')
    images = sorted(Path(folder).rglob('*.jpg'))
    detector = detector_of(name, tiny=False)
    model = DetectorModel(detector)
    export_detector(DetectorModel(fuse(detector)), tmp_path / 'd.onnx', (256, 320))
    pictures = read_images(images[0].parent, detector, 2)
    for picture, found in zip(pictures, compare_detections(model, tmp_path / 'd.onnx', pictures),
                              strict=True):
        assert len(predicted(detector, picture)[0]) == found.expected > 10
        assert found.share > .95
