"""tools/test.py --fuse finds what tools/test.py finds."""
import pickle
import re

import torch

from tests.support.processes import run_tool


def predictions(folder, config, *options):
    out = folder / f'{len(options)}.pkl'
    done = run_tool(folder, 'test.py', config, f'work_dirs/{config[:-3]}/epoch_1.pth', '--out', out,
                    *options)
    assert done.returncode == 0, done.stderr
    assert 'no known inference form' not in done.stderr
    # What is printed last, without the time that it took.
    metrics = re.findall(r'Epoch\(test\) .*?\](.*?)data_time', done.stdout)
    return pickle.loads(out.read_bytes()), metrics[-1]


def test_detection(trained):
    (plain, metrics), (fused, same) = (predictions(trained, 'det.py', *options)
                                       for options in ((), ('--fuse', )))
    assert 'coco/bbox_mAP' in metrics and same == metrics
    assert sum(len(found['pred_instances']['labels']) for found in plain) > 0
    for expected, found in zip(plain, fused, strict=True):
        expected, found = expected['pred_instances'], found['pred_instances']
        assert found['labels'].equal(expected['labels'])
        torch.testing.assert_close(found['bboxes'], expected['bboxes'], rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(found['scores'], expected['scores'], rtol=1e-4, atol=1e-6)
    assert not all(found['pred_instances']['scores'].equal(expected['pred_instances']['scores'])
                   for expected, found in zip(plain, fused, strict=True))


def test_classification(trained):
    (plain, metrics), (fused, same) = (predictions(trained, 'cls.py', *options)
                                       for options in ((), ('--fuse', )))
    assert 'accuracy/top1' in metrics and same == metrics
    for expected, found in zip(plain, fused, strict=True):
        assert found['pred_label'].equal(expected['pred_label'])
        torch.testing.assert_close(found['pred_score'], expected['pred_score'],
                                   rtol=1e-4, atol=1e-6)
