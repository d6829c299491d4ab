import pickle

import torch

from tests.support.processes import fails, run_tool


def test_detection_prints_the_table_and_writes_what_is_asked_for(trained):
    checkpoint = 'work_dirs/det/epoch_1.pth'
    result = run_tool(trained, 'test.py', 'det.py', checkpoint, '--out', 'out/p.pkl',
                      '--show-dir', 'pictures')
    assert result.returncode == 0, result.stderr
    assert 'Average Precision  (AP) @[ IoU=0.50:0.95' in result.stdout
    assert 'coco/bbox_mAP:' in result.stdout
    predictions = pickle.loads((trained / 'out/p.pkl').read_bytes())
    assert [prediction['img_id'] for prediction in predictions] == [1, 2, 3, 4]
    assert predictions[0]['pred_instances']['bboxes'].shape[1] == 4
    assert sorted(path.name for path in (trained / 'pictures').iterdir()) == [
        '001.jpg', '002.jpg', '003.jpg', '004.jpg']

    again = run_tool(trained, 'test.py', 'det.py', checkpoint, '--out', 'out/p.pkl')
    fails(again, 'out/p.pkl exists already', '--overwrite')
    fails(run_tool(trained, 'test.py', 'det.py', checkpoint, '--show-dir', 'pictures'),
          'pictures exists already')
    (trained / 'out/p.pkl').write_bytes(b'old')
    assert run_tool(trained, 'test.py', 'det.py', checkpoint, '--out', 'out/p.pkl',
                    '--overwrite').returncode == 0
    assert len(pickle.loads((trained / 'out/p.pkl').read_bytes())) == 4


def test_classification_prints_the_accuracy_and_writes_what_is_asked_for(trained):
    result = run_tool(trained, 'test.py', 'cls.py', 'work_dirs/cls/epoch_1.pth', '--out', 'p.pkl',
                      '--show-dir', 'pictures')
    assert result.returncode == 0, result.stderr
    assert 'accuracy/top1:' in result.stdout
    predictions = pickle.loads((trained / 'p.pkl').read_bytes())
    assert len(predictions) == 12
    assert torch.isclose(predictions[0]['pred_score'].sum(), torch.tensor(1.0))
    assert any((trained / 'pictures').iterdir())


def test_an_unfit_checkpoint_is_refused(trained):
    checkpoint = 'work_dirs/cls/epoch_1.pth'
    fails(run_tool(trained, 'test.py', 'cls.py', 'absent.pth'), 'absent.pth does not exist')
    for options, parts in (
            (('model.backbone.depth=34', ), ('missing in it (backbone.layer1.2.conv1.weight', )),
            (('model.backbone.base_channels=16', 'model.head.in_channels=128'),
             ('have another shape', '16x8x3x3'))):
        fails(run_tool(trained, 'test.py', 'cls.py', checkpoint, '--cfg-options', *options),
              checkpoint, 'weights match', *parts)
    # The plain network has all the weights it needs in there, and is still another network.
    with (trained / 'plain.py').open('w') as config:
        config.write("_base_ = 'cls.py'\nmodel = dict(backbone=dict(_delete_=True, "
                     "type='AttentionResNet', depth=18, base_channels=8, stem_channels=8))")
    fails(run_tool(trained, 'test.py', 'plain.py', checkpoint),
          'belong to no layer of the model (backbone.layer1.0.eca.conv.weight')
    fails(run_tool(trained, 'train.py', 'plain.py', '--resume', checkpoint),
          checkpoint, 'belong to no layer of the model')

    whole = (trained / checkpoint).read_bytes()
    (trained / 'cut.pth').write_bytes(whole[:len(whole) // 2])
    fails(run_tool(trained, 'test.py', 'cls.py', 'cut.pth'), 'cut.pth')
    weights = torch.load(trained / checkpoint, weights_only=False)['state_dict']
    torch.save({'state_dict': weights}, trained / 'weights.pth')
    assert run_tool(trained, 'test.py', 'cls.py', 'weights.pth').returncode == 0
    fails(run_tool(trained, 'train.py', 'cls.py', '--resume', 'weights.pth'),
          'weights.pth cannot be resumed from', 'load_from')


class _Code:
    def __reduce__(self):
        return print, ('run by the checkpoint',)


def test_code_in_a_checkpoint_is_refused(folder):
    torch.save({'state_dict': {}, 'meta': _Code()}, folder / 'code.pth')
    result = run_tool(folder, 'test.py', 'cls.py', 'code.pth')
    fails(result, 'code.pth')
    assert 'run by the checkpoint' not in result.stdout


def test_annotations_are_checked(folder):
    path = folder / 'coco data' / 'annotations.json'
    path.write_text(path.read_text()[:-100])
    torch.save({}, folder / 'any.pth')
    fails(run_tool(folder, 'test.py', 'det.py', 'any.pth'), str(path), 'truncated')


def test_misuse(folder):
    torch.save({}, folder / 'any.pth')
    assert run_tool(folder, 'test.py', 'cls.py').returncode == 2
    assert run_tool(folder, 'test.py', 'cls.py', 'any.pth', '--out', 'p.json').returncode == 2
    fails(run_tool(folder, 'test.py', 'cls.py', 'any.pth', '--out', 'cls.py/p.pkl'),
          'cls.py/p.pkl cannot be written')
