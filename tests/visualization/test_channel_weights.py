"""The picture of channel weights, and the figures behind it."""
import numpy as np
import pytest
import torch
from mmengine.config import Config

from eca_mm.utils.errors import UserError
from eca_mm.visualization.channel_weights import (
    collect_channel_weights,
    draw_channel_weights,
    write_arrays,
)
from eca_mm.visualization.gates import gates_of
from eca_mm.visualization.images import chosen_classes, find_class, labelled_images, read_image
from eca_mm.visualization.models import load_model
from eca_mm.visualization.style import save_picture
from tests.support import samples


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """A config on drawn pictures of three classes, and the checkpoint of an untrained model."""
    folder = tmp_path_factory.mktemp('data')
    samples.draw_classes(folder / 'classes')
    path = samples.write_config(folder / 'cls.py', samples.CLASSIFICATION, folder / 'classes')
    config = Config.fromfile(path)
    from eca_mm.analysis import build_model
    torch.manual_seed(0)
    torch.save({'state_dict': build_model(config).state_dict()}, folder / 'a.pth')
    return folder, config


def test_means_of_classes_over_any_batches(data, tmp_path):
    folder, config = data
    model = load_model(config, str(folder / 'a.pth'))
    images = labelled_images(config)
    found = collect_channel_weights(model, images, 'ECA')
    config.test_dataloader.batch_size = 5
    again = collect_channel_weights(model, labelled_images(config), 'ECA')
    assert images.classes == ('blue', 'green', 'red') and len(found.blocks) == 8
    for index, name in enumerate(images.classes):
        gates = [gates_of(model, [read_image(config, str(path))])['conv_3_2'][1][0].numpy()
                 for path in (folder / 'classes' / name).iterdir()]
        for weights in (found, again):
            assert weights.blocks['conv_3_2'].counts.tolist() == [4, 4, 4]
            np.testing.assert_allclose(weights.blocks['conv_3_2'].means()[index],
                                       np.mean(gates, 0), rtol=1e-5)

    write_arrays([found], str(tmp_path / 'w.npz'))
    arrays = np.load(tmp_path / 'w.npz')
    assert arrays['classes'].tolist() == ['blue', 'green', 'red']
    assert arrays['images'].tolist() == [4, 4, 4]
    means = arrays['ECA/conv_3_2/means']
    np.testing.assert_array_equal(arrays['ECA/conv_3_2/overall'], means.mean(0))
    np.testing.assert_array_equal(means, found.blocks['conv_3_2'].means())


def test_picture_has_a_plot_for_every_model_and_block(data, tmp_path):
    folder, config = data
    model = load_model(config, str(folder / 'a.pth'))
    images = labelled_images(config, str(folder / 'classes'))
    models = [collect_channel_weights(model, images, label, 2) for label in ('A', 'B')]
    assert next(iter(models[0].blocks.values())).counts.tolist() == [2, 2, 2]
    del models[1].blocks['conv_2_1']
    blocks = ['conv_2_1', 'conv_3_1', 'conv_5_2']
    figure = draw_channel_weights(models, blocks, {0: 'sky', 2: 'sun'}, columns=2)
    assert len(figure.axes) == 6
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[4].get_lines()}
    assert set(lines) == {'sky', 'sun', 'all 3 classes'}
    np.testing.assert_array_equal(lines['sun'], models[0].blocks['conv_5_2'].means()[2])
    assert figure.axes[1].texts[0].get_text() == 'no channel attention'
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    for ending in ('png', 'pdf', 'svg'):
        save_picture(figure, str(tmp_path / f'w.{ending}'))
    save_picture(figure, str(tmp_path / 'again.svg'))
    assert (tmp_path / 'again.svg').read_bytes() == (tmp_path / 'w.svg').read_bytes()
    assert (tmp_path / 'w.png').read_bytes().startswith(b'\x89PNG')


def test_images_of_a_detector(tmp_path):
    samples.draw_coco(tmp_path / 'coco')
    samples.draw_classes(tmp_path / 'classes', images=1)
    config = Config.fromfile(
        samples.write_config(tmp_path / 'det.py', samples.DETECTION, tmp_path / 'coco'))
    with pytest.raises(UserError, match='--data-root'):
        labelled_images(config)
    images = labelled_images(config, str(tmp_path / 'classes'))
    (labels, inputs), *rest = images.batches()
    # One at a time, and resized as the detector does it.
    assert (labels.tolist(), inputs[0].shape, len(rest)) == ([0], (3, 64, 64), 2)


def test_classes_are_found_by_any_of_their_names(data):
    names = ('great white shark, white shark', 'goldfish', 'dog')
    assert [find_class(name, names) for name in ('White Shark', 'goldfish', names[0])] == [0, 1, 0]
    with pytest.raises(UserError, match="'goldfsh' among the 3 .* is 'goldfish'"):
        find_class('goldfsh', names)
    images = labelled_images(data[1])
    assert chosen_classes(None, images) == {0: 'blue', 1: 'green', 2: 'red'}
    assert chosen_classes(['red=sun', 'BLUE'], images) == {2: 'sun', 0: 'BLUE'}


def test_folder_without_classes_is_refused(data, tmp_path):
    with pytest.raises(UserError, match='not a folder'):
        labelled_images(data[1], str(tmp_path / 'nowhere'))
    with pytest.raises(UserError, match='no images'):
        labelled_images(data[1], str(tmp_path))
    with pytest.raises(UserError, match='does not exist'):
        read_image(data[1], str(tmp_path / 'no.png'))


def test_checkpoint_of_another_model_is_refused(data):
    folder, config = data
    other = Config(dict(config.to_dict(), model=dict(config.model, backbone=dict(
        config.model.backbone, kernel_size=5))))
    with pytest.raises(UserError, match='does not fit the model'):
        load_model(other, str(folder / 'a.pth'))


def test_format_is_checked():
    with pytest.raises(UserError, match='must end in .png'):
        save_picture(None, 'picture.jpg')
