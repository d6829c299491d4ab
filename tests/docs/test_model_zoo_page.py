"""The model zoo in a real browser: filters, sorting, chart, copying, keyboard, no network."""
import pytest

pytest.importorskip('selenium', reason='selenium is not installed (requirements/tests.txt)')

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

pytestmark = pytest.mark.browser


@pytest.fixture
def zoo(driver, page):
    """The page, freshly opened."""
    driver.get('about:blank')
    driver.get(page.as_uri())
    return driver


def rows(zoo) -> list[dict]:
    """What is shown of the table, in its order."""
    return zoo.execute_script('''
        return [...document.querySelectorAll('#zoo-table tbody tr')].filter(row => !row.hidden).map(
            row => ({...row.dataset, cells: [...row.cells].map(cell => cell.innerText.trim())}))''')


def choose(zoo, name: str, value: str) -> None:
    Select(zoo.find_element(By.ID, f'zoo-{name}')).select_by_value(value)


def click(zoo, element) -> None:
    """Click on an element in the middle of the window, without the theme's slow scrolling."""
    zoo.execute_script('arguments[0].scrollIntoView({block: "center", behavior: "instant"})',
                       element)
    element.click()


def header(zoo, title: str):
    return next(cell for cell in zoo.find_elements(By.CSS_SELECTOR, '#zoo-table thead th')
                if cell.text.startswith(title))


def points(zoo) -> list:
    return zoo.find_elements(By.CSS_SELECTOR, '#zoo-plot .point')


def test_shows_all_models_and_needs_neither_network_nor_forgives_errors(zoo):
    assert len(rows(zoo)) > 80
    fetched = zoo.execute_script('''
        return [...document.querySelectorAll('script[src], link[rel=stylesheet], img')].map(
            element => element.src || element.href)''')
    assert fetched and all(url.startswith('file://') for url in fetched)
    assert [entry for entry in zoo.get_log('browser') if entry['level'] == 'SEVERE'] == []


def test_filters_combine_and_reset(zoo):
    choose(zoo, 'attention', 'ECA')
    choose(zoo, 'backbone', 'ResNet-101')
    choose(zoo, 'task', 'Object detection')
    found = rows(zoo)
    assert {(row['attention'], row['backbone']) for row in found} == {('ECA', 'ResNet-101')}
    assert {row['detector'] for row in found} == {'Faster R-CNN', 'Mask R-CNN', 'RetinaNet'}
    total = zoo.execute_script('return document.querySelectorAll("#zoo-table tbody tr").length')
    assert zoo.find_element(By.ID, 'zoo-count').text == f'3 of {total} models'
    # The address holds the view, so that it can be shared.
    zoo.refresh()
    assert rows(zoo) == found
    click(zoo, zoo.find_element(By.CSS_SELECTOR, '#zoo-controls [type=reset]'))
    WebDriverWait(zoo, 10).until(lambda _: len(rows(zoo)) == total)
    zoo.find_element(By.ID, 'zoo-search').send_keys('mobilenet')
    assert rows(zoo) and all('mobilenet' in row['name'] for row in rows(zoo))


@pytest.mark.parametrize(('title', 'column'), [('Params', 5), ('FLOPs', 6), ('Top-1', 7)])
def test_sorts_by_numbers_and_leaves_what_is_not_published_at_the_end(zoo, title, column):
    for order, sign in (('ascending', 1), ('descending', -1)):
        click(zoo, header(zoo, title).find_element(By.TAG_NAME, 'button'))
        assert header(zoo, title).get_attribute('aria-sort') == order
        shown = [row['cells'][column] for row in rows(zoo)]
        numbers = [sign * float(text) for text in shown if text != '-']
        assert numbers == sorted(numbers) and len(set(numbers)) > 20
        assert shown == [*shown[:len(numbers)], *['-'] * (len(shown) - len(numbers))]
    click(zoo, header(zoo, 'Config').find_element(By.TAG_NAME, 'button'))
    assert header(zoo, title).get_attribute('aria-sort') is None


def test_chart_has_a_point_for_every_published_accuracy_that_is_shown(zoo):
    assert len(points(zoo)) == len([row for row in rows(zoo) if row['cells'][7] != '-'])
    choose(zoo, 'task', 'Instance segmentation')
    assert zoo.find_element(By.ID, 'zoo-y').get_attribute('value') == 'mask'
    assert {point.get_attribute('data-name') for point in points(zoo)} == {
        row['name'] for row in rows(zoo) if set(row['cells'][7:10]) != {'-'}}
    before = [point.rect['x'] for point in points(zoo)]
    choose(zoo, 'x', 'flops')
    assert [point.rect['x'] for point in points(zoo)] != before
    assert 'FLOPs (G)' in zoo.find_element(By.ID, 'zoo-plot').text
    choose(zoo, 'y', 'top1')
    assert 'None of the models' in zoo.find_element(By.ID, 'zoo-plot').text


def test_chart_by_keyboard(zoo):
    choose(zoo, 'task', 'Instance segmentation')
    stops = [point for point in points(zoo) if point.get_attribute('tabindex') == '0']
    assert len(stops) == 1
    zoo.execute_script('arguments[0].focus()', stops[0])
    seen = []
    for key in (Keys.HOME, *[Keys.ARROW_RIGHT] * (len(points(zoo)) - 1)):
        ActionChains(zoo).send_keys(key).perform()
        seen.append(zoo.switch_to.active_element.get_attribute('data-name'))
    assert sorted(seen) == sorted(
        row['name'] for row in rows(zoo) if set(row['cells'][7:10]) != {'-'})
    assert zoo.find_element(By.CSS_SELECTOR, '#zoo-plot .tooltip').text.startswith(seen[-1])
    ActionChains(zoo).send_keys(Keys.ENTER).perform()
    assert zoo.switch_to.active_element.text == seen[-1]


def test_click_on_a_point_leads_to_its_row(zoo):
    choose(zoo, 'task', 'Instance segmentation')
    point = points(zoo)[-1]
    click(zoo, point)
    assert zoo.switch_to.active_element.text == point.get_attribute('data-name')


def test_click_copies_the_base_line(zoo):
    zoo.find_element(By.ID, 'zoo-search').send_keys('eca-resnet50-k3557')
    button, = (b for b in zoo.find_elements(By.CLASS_NAME, 'zoo-copy') if b.is_displayed())
    line = "_base_ = 'eca_mm::eca_resnet/eca-resnet50-k3557_4xb64_in1k.py'"
    click(zoo, button)
    WebDriverWait(zoo, 10).until(
        lambda _: zoo.find_element(By.ID, 'zoo-message').text == f'Copied: {line}')
    field = zoo.find_element(By.ID, 'zoo-search')
    field.clear()
    field.send_keys(Keys.CONTROL, 'v')
    assert field.get_attribute('value') == line


def test_every_control_has_its_own_name(zoo):
    choose(zoo, 'task', 'Instance segmentation')
    controls = zoo.find_elements(By.CSS_SELECTOR, '#zoo select, #zoo input, #zoo button, .point')
    names = [(control.tag_name, control.accessible_name) for control in controls
             if control.is_displayed()]
    assert len(names) > 30
    assert all(name for _, name in names)
    assert len(set(names)) == len(names)


def test_fits_a_narrow_window(zoo):
    zoo.set_window_size(500, 900)
    try:
        width = zoo.execute_script('return document.documentElement.scrollWidth - innerWidth')
        assert width <= 0
    finally:
        zoo.set_window_size(1400, 1000)
