"""The page in a real browser without a network."""

import pytest
from browser import needs_browser, open_browser, print_to_pdf, requested_urls, set_dark


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def page_url(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.save_as_html(path)
    return path.as_uri()


@pytest.fixture
def page(browser, page_url):
    browser.get("about:blank")
    browser.get_log("browser")
    requested_urls(browser)
    browser.get(page_url)
    return browser


def _column(driver, table, column):
    return driver.execute_script(
        "return [...document.getElementById(arguments[0]).tBodies[0].rows].filter(r => r.offsetParent)"
        ".map(r => r.cells[arguments[1]].dataset.value ?? r.cells[arguments[1]].textContent)",
        table,
        column,
    )


@needs_browser
def test_the_page_loads_nothing_complains_of_nothing_and_runs_nothing(page, page_url):
    from selenium.webdriver.common.by import By

    assert page.get_log("browser") == []
    assert requested_urls(page) == [page_url]
    assert page.execute_script("return window.hacked") is None
    assert page.title == "<i>Sentences</i> & voxels"
    shown = page.find_element(By.TAG_NAME, "body").text
    assert "<script>window.hacked = 1</script>" in shown
    images = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert page.execute_script(images) == 0


@needs_browser
def test_a_script_that_gets_into_the_page_is_not_run(page):
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 2'; document.body.append(s);"
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked = 3\">');"
    )
    assert page.execute_async_script("setTimeout(() => arguments[0](window.hacked ?? null), 300)") is None
    assert any("Content Security Policy" in entry["message"] for entry in page.get_log("browser"))
    assert not [url for url in requested_urls(page) if not url.startswith("file:")]


@needs_browser
def test_headings_sort_their_table_in_both_directions(page):
    from selenium.webdriver.common.by import By

    heads = page.find_elements(By.CSS_SELECTOR, "#features th")
    names = [head.text.strip() for head in heads]
    voxels = names.index("Voxels")
    for direction, sign in (("descending", -1), ("ascending", 1)):
        heads[voxels].find_element(By.TAG_NAME, "button").click()
        values = [float(v) for v in _column(page, "features", voxels)]
        assert values == sorted(values, key=lambda v: sign * v)
        assert heads[voxels].get_attribute("aria-sort") == direction
    assert len(set(values)) > 1
    heads[0].find_element(By.TAG_NAME, "button").click()
    values = _column(page, "features", 0)
    assert values == sorted(values)
    assert heads[voxels].get_attribute("aria-sort") is None
    effect = names.index("Effect")
    heads[effect].find_element(By.TAG_NAME, "button").click()
    values = [float(v) for v in _column(page, "features", effect)]
    assert values == sorted(values, reverse=True)
    assert min(values) < 0 < max(values)


@needs_browser
def test_the_texts_that_drive_features_sort_by_value_and_by_text(page):
    from selenium.webdriver.common.by import By

    heads = {head.text.strip(): head for head in page.find_elements(By.CSS_SELECTOR, "#drivers th")}
    assert list(heads) == ["Feature", "Label", "Value in text", "Text"]  # no tokens, since the features were given
    heads["Value in text"].find_element(By.TAG_NAME, "button").click()
    values = [float(v) for v in _column(page, "drivers", 2)]
    assert values == sorted(values, reverse=True)
    heads["Text"].find_element(By.TAG_NAME, "button").click()
    plain = [text for text in _column(page, "drivers", 3) if text.startswith("Sentence number")]
    assert plain == sorted(plain, key=lambda text: int(text.split()[2]))
    assert len(set(plain)) > 5


@needs_browser
def test_search_shows_the_rows_that_hold_all_words(page):
    from selenium.webdriver.common.by import By

    box = page.find_element(By.CSS_SELECTOR, "[data-search=drivers]")
    texts = _column(page, "drivers", 3)
    box.send_keys("NUMBER plain")
    found = _column(page, "drivers", 3)
    assert found == [text for text in texts if "number" in text and "plain" in text]
    assert 0 < len(found) < len(texts)
    status = page.find_element(By.CSS_SELECTOR, "[data-count=drivers]")
    assert status.text == f"{len(found)} of {len(texts)} rows"
    box.send_keys(" nothing-like-this")
    assert _column(page, "drivers", 3) == []
    box.clear()
    page.execute_script("arguments[0].dispatchEvent(new Event('input'))", box)
    assert len(_column(page, "drivers", 3)) == len(texts)


@needs_browser
def test_everything_works_by_keyboard_alone_and_the_focus_is_seen(page):
    from selenium.webdriver.common.keys import Keys

    def press(key):
        page.switch_to.active_element.send_keys(key)
        return page.switch_to.active_element

    focused, outlines = [], []
    element = press(Keys.TAB)
    assert element.text == "Skip to the content"
    for _ in range(40):
        element = press(Keys.TAB)
        focused.append((element.tag_name, element.text.strip()))
        outlines.append(page.execute_script("return getComputedStyle(arguments[0]).outlineStyle", element))
        if element.text.strip() == "Voxels":
            break
    assert ("button", "Voxels") in focused
    assert "none" not in outlines
    press(Keys.ENTER)
    assert page.execute_script("return document.activeElement.closest('th').ariaSort") == "descending"
    while not page.switch_to.active_element.get_attribute("data-find"):
        press(Keys.TAB)
    name = page.switch_to.active_element.text
    element = press(Keys.ENTER)
    assert element.get_attribute("data-search") == "drivers"
    assert set(_column(page, "drivers", 0)) == {name}


_CONTRAST = """
const rgba = (c) => { const v = c.match(/[\\d.]+/g).map(Number); return v.length < 4 ? [...v, 1] : v; };
const over = (top, below) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * below[i]).concat(1);
const luminance = (c) => [0, 1, 2].map((i) => c[i] / 255)
  .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const worst = [];
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !element.offsetParent) continue;
  const layers = [];
  for (let e = element; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
  const back = layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  const [a, b] = [luminance(rgba(getComputedStyle(element).color)), luminance(back)];
  worst.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), element.tagName + " " + element.className]);
}
return worst.sort((x, y) => x[0] - y[0])[0];
"""


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_all_text_has_the_contrast_that_wcag_asks_for_in_light_and_dark(page, dark):
    set_dark(page, dark)
    background = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is not dark
    page.execute_script(
        "document.querySelector('details').open = true;"
        "document.querySelector('#drivers td.passage bdi').insertAdjacentHTML('beforeend',"
        "[1, 2, 3, 4, 5].map((i) => `<mark class=t${i}>x</mark>`).join(''))"
    )
    ratio, where = page.execute_script(_CONTRAST)
    assert ratio >= 4.5, where
    shown = page.execute_script("return [...document.images].filter(i => i.offsetParent).map(i => i.className)")
    assert set(shown) == {"on-dark" if dark else "on-light"}
    set_dark(page, False)


@needs_browser
def test_it_prints_with_light_figures_all_settings_and_no_controls(page):
    from selenium.webdriver.common.by import By

    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    assert page.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    visible = page.execute_script("return [...document.images].filter(i => i.offsetParent).map(i => i.className)")
    assert set(visible) == {"on-light"}
    assert not page.find_element(By.CSS_SELECTOR, "[data-search=drivers]").is_displayed()
    assert not page.find_element(By.TAG_NAME, "nav").is_displayed()
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    page.execute_script(
        "addEventListener('beforeprint', () => { window.unfolded = document.querySelector('details').open; })"
    )
    pdf = print_to_pdf(page)
    assert pdf.startswith(b"%PDF")
    assert page.execute_script("return [window.unfolded, document.querySelector('details').open]") == [True, False]


@needs_browser
def test_without_scripts_the_page_is_whole_and_offers_no_dead_controls(page, page_url):
    from selenium.webdriver.common.by import By

    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.get(page_url)
        assert not page.find_element(By.CSS_SELECTOR, "[data-search=drivers]").is_displayed()
        assert page.find_element(By.CSS_SELECTOR, "#drivers td").is_displayed()
    finally:
        page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@needs_browser
def test_a_narrow_screen_scrolls_tables_but_not_the_page(page):
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    width = page.execute_script("return document.documentElement.scrollWidth")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width <= 360


@needs_browser
def test_in_a_notebook_it_shows_itself_in_a_frame(browser, report, tmp_path):
    from selenium.webdriver.common.by import By

    path = tmp_path / "notebook.html"
    path.write_bytes(b"<!DOCTYPE html><meta charset=utf-8>" + report._repr_html_().encode("utf-8"))
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get(path.as_uri())
    browser.switch_to.frame(0)
    try:
        assert browser.find_element(By.CSS_SELECTOR, "[data-count=features]").text.endswith("rows")
        assert browser.execute_script("return window.hacked") is None
    finally:
        browser.switch_to.default_content()
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
