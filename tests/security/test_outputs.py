"""No tool writes over the data and weights that its config names, not even with --overwrite."""
import argparse
import os
import runpy
from pathlib import Path

import pytest
from mmengine.config import Config

from eca_mm.datasets.event_frame_ddd17 import convert_ddd17
from eca_mm.datasets.event_frame_dsec import convert_dsec
from eca_mm.engine.config import load_config
from eca_mm.engine.runner import CheckedRunner
from eca_mm.utils.errors import UserError
from eca_mm.utils.outputs import check_outputs, check_targets
from tests.support import samples

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
# Every tool that takes a config; the output comes last.
COMMANDS = {
    'complexity': ('analysis_tools/complexity.py', 'det.py', '--json'),
    'check_config': ('analysis_tools/check_config.py', 'det.py', '--json'),
    'benchmark': ('analysis_tools/benchmark.py', '--models', 'det.py', '--mode', 'detector',
                  '--json'),
    'export': ('deployment/export_onnx.py', 'det.py', 'last.pth'),
    'test': ('test.py', 'det.py', 'last.pth', '--out'),
    'show': ('test.py', 'det.py', 'last.pth', '--show-dir'),
    'demo': ('demo.py', 'photo.jpg', 'det.py', 'last.pth', '--json'),
    'demo_pictures': ('demo.py', 'photo.jpg', 'det.py', 'last.pth', '--out-dir'),
    'channel_weights': ('visualizations/channel_weights.py', 'det.py', 'last.pth', '--out'),
    'gap': ('visualizations/gap_activations.py', 'det.py', 'last.pth', '--images', 'photo.jpg',
            '--out'),
}
NAMED = ('coco/annotations.json', 'coco/images/001.jpg', 'first.pth', 'link.json')
ENDINGS = {'test': '.pkl', 'channel_weights': '.png', 'gap': '.png'}


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp('outputs')
    samples.draw_coco(folder / 'coco')
    samples.write_config(folder / 'det.py', samples.DETECTION, folder / 'coco',
                         f"\nload_from = '{folder}/first.pth'\n"
                         f"more = ['{folder}/coco/named.pkl', '{folder}/coco/named.png']\n")
    (folder / 'coco/named.pkl').touch()
    (folder / 'coco/named.png').touch()
    (folder / 'photo.jpg').write_bytes((folder / 'coco/images/002.jpg').read_bytes())
    (folder / 'first.pth').write_bytes(b'weights')
    (folder / 'last.pth').write_bytes(b'weights')
    (folder / 'link.json').symlink_to('coco/annotations.json')
    return folder


def run(monkeypatch, tool, *arguments):
    monkeypatch.setattr('sys.argv', [str(TOOLS / tool), *map(str, arguments)])
    runpy.run_path(str(TOOLS / tool), run_name='tool')['main']()


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('name', COMMANDS)
def test_what_a_config_names_is_never_written_over(place, monkeypatch, name):
    monkeypatch.chdir(place)
    before = contents(place)
    folders = ('coco', 'coco/images') if name in ('show', 'demo_pictures') else ()
    ending = ENDINGS.get(name)
    for target in folders or ((f'coco/named{ending}', ) if ending else NAMED):
        tool, *arguments = COMMANDS[name]
        with pytest.raises(UserError, match='to read.*no option lets this command write over'):
            run(monkeypatch, tool, *arguments, target, '--overwrite')
        assert contents(place) == before


def test_a_new_file_among_the_data_and_an_own_one_elsewhere(place, monkeypatch):
    monkeypatch.chdir(place)
    target = place / 'coco/images/cost.json'
    run(monkeypatch, 'analysis_tools/complexity.py', 'det.py', '--json', target, '--shape', '64',
        '64')
    target.unlink()
    for _ in range(2):
        run(monkeypatch, 'analysis_tools/complexity.py', 'det.py', '--json', 'cost.json',
            '--overwrite', '--shape', '64', '64')
    (place / 'cost.json').unlink()


def test_data_in_the_working_directory(place, monkeypatch):
    monkeypatch.chdir(place / 'coco')
    for path, refused in (('images/001.jpg', True), ('annotations.json', True),
                          ('own.json', False)):
        (place / 'coco/own.json').touch()
        args = argparse.Namespace(json=path, overwrite=True)
        check_outputs(args)
        if refused:
            with pytest.raises(UserError, match='to read'):
                load_config('../det.py')
        else:
            load_config('../det.py')
    (place / 'coco/own.json').unlink()


def test_a_work_directory_does_not_replace_configs_that_it_holds(tmp_path):
    (tmp_path / 'own').mkdir()
    (tmp_path / 'base').mkdir()
    (tmp_path / 'base/det.py').write_text('a = 1\n')
    (tmp_path / 'own/det.py').write_text("_base_ = '../base/det.py'\n")
    (tmp_path / 'linked').mkdir()
    (tmp_path / 'linked/det.py').symlink_to('../own/det.py')
    (tmp_path / 'hard').mkdir()
    os.link(tmp_path / 'own/det.py', tmp_path / 'hard/det.py')
    before = contents(tmp_path)
    runner = CheckedRunner.__new__(CheckedRunner)
    runner._timestamp = 'now'

    def start(folder, text):
        (tmp_path / 'base/det.py').write_text(text)
        runner.cfg, runner._work_dir = Config.fromfile(tmp_path / 'own/det.py'), str(folder)
        runner.dump_config()

    for folder in ('own', 'base', 'linked', 'hard'):
        start(tmp_path / folder, 'a = 1\n')
        assert contents(tmp_path) == before
    # Other files of that name: the user's own, a link to one elsewhere, that of an earlier start.
    new, other = tmp_path / 'new', tmp_path / 'other.py'
    new.mkdir()
    other.write_text('mine')
    (new / 'det.py').symlink_to(other)
    for value in (1, 1, 2):
        start(new, f'a = {value}\n')
        assert (new / 'det.py').read_text().strip() == f'a = {value}'
    assert other.read_text() == 'mine'
    kept = {path.read_text().strip() for path in new.glob('det_*.py')}
    assert kept == {'mine', 'a = 1'} and len(list(new.iterdir())) == 3


@pytest.mark.parametrize('make', [
    lambda target, source: target.symlink_to(source), lambda target, source: os.link(
        source, target), lambda target, source: target.symlink_to('elsewhere')])
def test_pictures_are_not_written_through_links(make, tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'image')
    (tmp_path / 'out').mkdir()
    check_targets([str(tmp_path / 'out/b.jpg')], [str(tmp_path / 'a.jpg')])
    make(tmp_path / 'out/b.jpg', tmp_path / 'a.jpg')
    with pytest.raises(UserError, match='is the file to read|is a link to'):
        check_targets([str(tmp_path / 'out/b.jpg')], [str(tmp_path / 'a.jpg')])


def test_labels_are_not_replaced_by_what_is_made_of_them(tmp_path):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'labels').mkdir()
    for split in ('train', 'test_all'):
        (tmp_path / f'labels/labels_filtered_{split}.csv').write_text('rec1_2.npz,,,,,\n')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/ddd17_test.json').symlink_to('../labels/labels_filtered_test_all.csv')
    with pytest.raises(UserError, match='is the file to read'):
        convert_ddd17(tmp_path, tmp_path / 'labels', tmp_path / 'out', overwrite=True)
    (tmp_path / 'out/dsec_val.json').touch()
    with pytest.raises(UserError, match='is the file to read'):
        convert_dsec(tmp_path, [tmp_path / 'out/dsec_val.json'], tmp_path / 'out', overwrite=True)


def test_a_command_that_has_ended_does_not_count(place, monkeypatch):
    monkeypatch.chdir(place)

    def command():
        check_outputs(argparse.Namespace(json='coco/annotations.json', overwrite=True))

    command()
    load_config('det.py')
