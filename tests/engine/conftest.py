"""Fixtures of all tests of the engine."""
import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def said(monkeypatch):
    """What is printed by mmengine's loggers."""
    sentences = []
    monkeypatch.setattr(MMLogger, 'callHandlers',
                        lambda self, record: sentences.append(record.getMessage()))
    return sentences
