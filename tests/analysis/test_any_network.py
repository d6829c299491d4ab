"""The table of networks that take attention, in the documentation."""
import pytest

from eca_mm.analysis.any_network import NETWORKS, describe, networks_table
from tests.support.processes import ROOT


@pytest.mark.slow
def test_the_table_in_the_docs_is_the_one_that_is_generated():
    page = (ROOT / 'docs/any_network.md').read_text()
    assert networks_table() in page


@pytest.mark.parametrize('scope', NETWORKS)
def test_lines_of_the_table(scope):
    page = (ROOT / 'docs/any_network.md').read_text()
    for network in (NETWORKS[scope][0], NETWORKS[scope][9]):
        assert ' | '.join(describe(scope, network)) in page
