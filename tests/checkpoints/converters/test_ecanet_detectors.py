"""Detectors as the authors of ECA-Net published them, in mmdetection 1.x's form."""
import pytest
import torch
from mmdet.structures import DetDataSample
from torch.nn import functional as F

from eca_mm.checkpoints.converters.ecanet import from_ecanet
from eca_mm.checkpoints.keys import MisfitError
from eca_mm.utils.errors import UserError
from tests.support.ecanet_files import detector, model_of


@pytest.mark.parametrize(('kind', 'kernel_sizes', 'written'), [
    ('faster_rcnn', (5, 5, 5, 5), 5), ('retinanet', (3, 3, 7, 7), (3, 3, 7, 7)),
    pytest.param('mask_rcnn', (3, 3, 7, 7), (3, 3, 7, 7), marks=pytest.mark.slow)])
def test_detector(kind, kernel_sizes, written):
    weights = detector(kind, kernel_sizes)
    conversion = from_ecanet(dict(meta={}, state_dict=weights))
    assert conversion.base == f'{kind}/{kind.replace("_", "-")}_eca-r50_fpn_4xb2-1x_coco.py'
    assert conversion.changes['model']['backbone']['kernel_size'] == written
    model = model_of(conversion)
    if kind == 'retinanet':
        head = model.bbox_head
        torch.testing.assert_close(head.retina_cls.weight.data,
                                   weights['bbox_head.retina_cls.weight'])
        coders, generator = [head.bbox_coder], head.prior_generator
    else:
        head = model.roi_head.bbox_head
        features = torch.randn(5, 256, 7, 7)
        shared = features.flatten(1)
        for i in range(2):
            shared = F.linear(shared, weights[f'bbox_head.shared_fcs.{i}.weight'],
                              weights[f'bbox_head.shared_fcs.{i}.bias']).relu()
        scores, deltas = (F.linear(shared, weights[f'bbox_head.{layer}.weight'],
                                   weights[f'bbox_head.{layer}.bias'])
                          for layer in ('fc_cls', 'fc_reg'))
        with torch.no_grad():
            new_scores, new_deltas = head(features)
        # Scores and boxes of each class are what they were, and background comes last.
        torch.testing.assert_close(new_scores.softmax(1)[:, :80], scores.softmax(1)[:, 1:])
        torch.testing.assert_close(new_deltas, deltas[:, 4:])
        coders = [head.bbox_coder, model.rpn_head.bbox_coder]
        generator = model.rpn_head.prior_generator
        for extractor in ('bbox_roi_extractor', 'mask_roi_extractor'):
            for layer in getattr(getattr(model.roi_head, extractor, None), 'roi_layers', ()):
                assert (layer.aligned, layer.sampling_ratio) == (False, 2)
    if kind == 'mask_rcnn':
        torch.testing.assert_close(model.roi_head.mask_head.conv_logits.weight.data,
                                   weights['mask_head.conv_logits.weight'][1:])
    # The box is 8 pixels wide, both end pixels counted; twice that is 16 of today's width.
    for coder in coders:
        twice = torch.tensor([[0., 0., 2., 1.]]).log().nan_to_num(neginf=0) / coder.stds[2]
        torch.testing.assert_close(coder.decode(torch.tensor([[10., 20., 17., 27.]]), twice),
                                   torch.tensor([[5.5, 19.5, 21.5, 27.5]]))
    anchors = generator.grid_priors([(1, 1)] * len(generator.strides), device='cpu')[0]
    # Of 1.x: round corners around the middle of the first cell, (stride - 1) / 2.
    assert torch.equal(anchors, anchors.round())
    middle = (generator.strides[0][0] - 1) / 2
    torch.testing.assert_close((anchors[:, :2] + anchors[:, 2:]) / 2,
                               torch.full((len(anchors), 2), middle), atol=0.51, rtol=0)
    sample = DetDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64),
                                         pad_shape=(64, 64), batch_input_shape=(64, 64),
                                         scale_factor=(1., 1.)))
    with torch.no_grad():
        result, = model.predict(torch.randn(1, 3, 64, 64), [sample])
    assert result.pred_instances.bboxes.isfinite().all()
    assert any('mmdetection 1.x' in note for note in conversion.notes)


def test_detector_of_today_is_not_converted():
    weights = {'roi_head.bbox_head.fc_cls.weight': torch.ones(81, 4)}
    with pytest.raises(UserError, match='nothing to convert'):
        from_ecanet(weights)


def test_incomplete_detector_is_refused():
    weights = detector('faster_rcnn', (5, 5, 5, 5))
    del weights['bbox_head.fc_reg.bias']
    with pytest.raises(MisfitError, match=r'1 are missing in it \(roi_head\.bbox_head\.fc_reg\.b'):
        from_ecanet(weights)
