"""Configs are formatted once, and as mmengine does."""
import mmengine.config.config as config_module
import pytest
from mmengine.config import Config

from eca_mm.compat.config_text import format_once


@pytest.fixture
def calls(monkeypatch):
    """The texts that yapf is given."""
    texts = []
    plain = config_module.FormatCode.__wrapped__

    def counting(text, **options):
        texts.append(text)
        return plain(text, **options)

    monkeypatch.setattr(config_module, 'FormatCode', counting)
    format_once()
    return texts


def test_the_same_text_is_formatted_once(calls):
    config = Config(dict(model=dict(depth=18, stages=(0, 1)), names=['a', 'b']))
    texts = [config.pretty_text for _ in range(3)]
    assert len(set(texts)) == len(calls) == 1 and 'depth=18' in texts[0]
    config.model.depth = 34
    assert 'depth=34' in config.pretty_text and len(calls) == 2


def test_a_few_are_remembered(calls):
    for depth in (*range(10), *range(6, 10)):
        assert Config(dict(depth=depth)).pretty_text == f'depth = {depth}\n'
    assert len(calls) == 10


def test_a_second_call_changes_nothing():
    before = config_module.FormatCode
    format_once()
    assert config_module.FormatCode is before
