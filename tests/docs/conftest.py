"""The page of the model zoo, built and opened in Chromium."""
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.processes import run_tool

DOCS = REPOSITORY / 'docs'
sys.path.insert(0, str(DOCS / '_ext'))


@pytest.fixture(scope='session')
def page(tmp_path_factory) -> Path:
    """The model zoo's page, built with the site's settings but without the other pages."""
    pytest.importorskip('sphinx', reason='Sphinx is not installed (requirements/docs.txt)')
    source = tmp_path_factory.mktemp('docs') / 'source'
    source.mkdir()
    for name in ('conf.py', 'model_zoo.md', 'checkpoints.md'):
        shutil.copy(DOCS / name, source)
    for name in ('_static', '_ext', 'images'):
        (source / name).symlink_to(DOCS / name)
    (source / 'index.md').write_text('# Index\n\n```{toctree}\n:glob:\n\n*\n```\n')
    target = source.parent / 'html'
    (source.parent / 'build.py').write_text(
        'import sys\nfrom sphinx.cmd.build import main\nsys.exit(main(sys.argv[1:]))\n')
    done = run_tool(source.parent, source.parent / 'build.py', '-q', '-D',
                    'extensions=myst_parser,model_zoo_page', source, target)
    assert done.returncode == 0, done.stderr
    return target / 'model_zoo.html'


@pytest.fixture(scope='session')
def driver(tmp_path_factory):
    """A headless Chromium without a network."""
    selenium = pytest.importorskip('selenium.webdriver', reason='selenium is not installed')
    chromedriver = shutil.which('chromedriver')
    browser = next(filter(None, map(shutil.which, ('chromium', 'google-chrome', 'chrome'))), None)
    if not (chromedriver and browser):
        pytest.skip('Chromium and chromedriver are not installed (on Debian or Ubuntu: '
                    'apt install chromium chromium-driver)')
    options = selenium.ChromeOptions()
    options.binary_location = browser
    for flag in ('headless', 'no-sandbox', 'disable-gpu', 'disable-quic', 'no-first-run',
                 'disable-background-networking', 'disable-component-update', 'disable-sync',
                 'disable-dev-shm-usage', 'window-size=1400,1000',
                 f'user-data-dir={tmp_path_factory.mktemp("profile")}'):
        options.add_argument(f'--{flag}')
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    driver = selenium.Chrome(options, selenium.ChromeService(chromedriver))
    yield driver
    driver.quit()
