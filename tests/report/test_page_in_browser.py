"""The page in a browser: it works, fits, and can be used by keyboard and screen reader."""

from __future__ import annotations

import base64
import json

import pytest

from tests.report import browser


@pytest.fixture(scope="module")
def chrome(page, tmp_path_factory):
    for driver in browser.start(tmp_path_factory.mktemp("profile")):
        driver.get(page.as_uri())
        yield driver


def column(chrome, table: str, number: int) -> list[str]:
    script = (
        "return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)]"
        ".map(row => row.cells[arguments[1]].textContent.trim())"
    )
    return chrome.execute_script(script, table, number)


def test_the_page_loads_without_console_errors(chrome):
    assert chrome.get_log("browser") == []
    assert chrome.execute_script("return document.readyState") == "complete"
    assert chrome.execute_script("return window.alerted") is None


def test_tables_sort_by_mouse_and_by_keyboard_both_ways(chrome):
    button = chrome.find_element("css selector", "#runs thead th:nth-child(6) button")
    chrome.execute_script("arguments[0].scrollIntoView()", button)
    header = chrome.find_element("css selector", "#runs thead th:nth-child(6)")
    button.click()
    ascending = [float(text) for text in column(chrome, "runs", 5) if text != "not run"]
    assert ascending == sorted(ascending) and len(set(ascending)) > 2
    assert header.get_attribute("aria-sort") == "ascending"
    assert column(chrome, "runs", 5)[-1] == "not run"  # what is missing comes last
    button.send_keys("\n")
    assert [float(t) for t in column(chrome, "runs", 5) if t != "not run"] == ascending[::-1]
    assert header.get_attribute("aria-sort") == "descending"
    assert column(chrome, "runs", 5)[-1] == "not run"
    names = chrome.find_element("css selector", "#runs thead th button")
    names.send_keys(" ")
    assert column(chrome, "runs", 0)[0].startswith("stage1")
    assert header.get_attribute("aria-sort") is None


@pytest.mark.parametrize("width", [320, 400, 800, 1400])
def test_nothing_overflows(chrome, width):
    browser.resize(chrome, width)
    page_width = chrome.execute_script("return document.documentElement.scrollWidth")
    assert page_width <= width
    # wide content scrolls in place and can be reached by keyboard
    outside = chrome.execute_script(
        "const edge = document.documentElement.clientWidth + 1;"
        "return [...document.querySelectorAll('main *')].filter(e =>"
        " !e.closest('.scroll, pre') && e.getBoundingClientRect().right > edge)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert outside == []
    wide = "return [...document.querySelectorAll('.scroll, pre')].every(e => e.tabIndex === 0)"
    assert chrome.execute_script(wide)


def test_captions_are_beside_figures_on_a_wide_page_and_narrow_figures_replace_wide_ones(chrome):
    edges = (
        "const box = e => e.getBoundingClientRect();"
        "const f = document.querySelector('#figure-dissection');"
        "return [box(f.querySelector('.drawn')).right, box(f.querySelector('figcaption')).left]"
    )
    browser.resize(chrome, 1200)
    drawn, caption = chrome.execute_script(edges)
    assert caption >= drawn
    browser.resize(chrome, 400)
    shown = (
        "document.querySelectorAll('details').forEach(e => { e.open = true; });"
        "return [...document.querySelectorAll('figure')].map(f =>"
        " [...f.querySelectorAll('svg')].map(e => e.clientWidth))"
    )
    widths = chrome.execute_script(shown)
    chrome.execute_script("document.querySelectorAll('details').forEach(e => { e.open = false; })")
    assert len(widths) > 8
    assert all(wide == 0 and 300 < narrow <= 400 for wide, narrow in widths)


def test_shades_are_lighter_on_a_dark_page_and_empty_cells_are_not_white(chrome):
    look = (
        "return [...document.querySelectorAll('image[id*=shade]')]"
        ".map(e => getComputedStyle(e).filter)"
    )
    for scheme, wanted in (("light", "none"), ("dark", "brightness(1.2)")):
        browser.prefer(chrome, scheme)
        found = chrome.execute_script(look)
        assert found and set(found) == {wanted}


def test_hidden_columns_are_shown_on_request(chrome):
    browser.resize(chrome, 1200)
    headers = "document.querySelectorAll('#stages thead th')"
    count = f"return [...{headers}].filter(e => e.offsetWidth).length"
    assert chrome.execute_script(count) == 7
    fold = chrome.find_element("css selector", "details.more summary")
    fold.click()
    assert chrome.execute_script(count) > 12
    fold.click()
    assert chrome.execute_script(count) == 7


def test_a_figure_is_saved_as_svg_in_the_displayed_colours(chrome):
    script = """
    const done = arguments[0];
    URL.createObjectURL = blob => { blob.text().then(done); return 'data:,'; };
    HTMLAnchorElement.prototype.click = function () { this.kept = this.download; };
    document.querySelector('button[data-svg=figure-dissection]').click();
    """
    browser.prefer(chrome, "light")
    text = chrome.execute_async_script(script)
    assert text.startswith("<svg") and "var(--" not in text and "#0072b2" in text
    link = chrome.find_element("css selector", "#figure-dissection a[download]")
    content = base64.b64decode(link.get_attribute("href").partition("base64,")[2]).decode()
    assert content.splitlines()[0].startswith("step,accuracy,low,high,gain")
    assert link.get_attribute("download") == "figure-dissection.csv"


CONTRAST = """
const channel = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const parse = text => text.match(/[\\d.]+/g).map(Number);
const ground = e => {
  for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3 || c[3] > 0) return c;
  }
  return [255, 255, 255];
};
const low = [];
for (const e of document.querySelectorAll('body *:not(svg *)')) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || e.matches('script, style')) continue;
  const [a, b] = [luminance(parse(getComputedStyle(e).color)), luminance(ground(e))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) low.push(ratio.toFixed(2) + ' ' + e.outerHTML.slice(0, 60));
}
return low;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_requires(chrome, scheme):
    browser.prefer(chrome, scheme)
    assert chrome.execute_script(CONTRAST) == []
    body = chrome.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert body == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 22, 22)"}[scheme]
    ink = chrome.execute_script(
        "return getComputedStyle(document.documentElement).getPropertyValue('--figure-ink')"
    )
    assert ink.strip() == {"light": "#222222", "dark": "#e8e8e8"}[scheme]


AXE = """
const done = arguments[arguments.length - 1];
const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
axe.run(document, {runOnly: {type: 'tag', values: tags}}).then(
  found => done(found.violations.map(v =>
    v.id + ': ' + v.help + ' ' + v.nodes.map(n => n.html.slice(0, 90)).join(' | '))
    .concat(found.passes.length > 20 ? [] : ['only ' + found.passes.length + ' rules applied'])),
  error => done(['axe failed: ' + error]));
"""


# narrow figures are drawings of their own, each with its light and dark colours
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_axe_finds_no_violations(chrome, width, scheme):
    script = browser.axe()
    browser.prefer(chrome, scheme)
    browser.resize(chrome, width)
    chrome.execute_script(script)
    assert chrome.execute_async_script(AXE) == []


def test_every_image_has_a_name_for_a_screen_reader(chrome):
    tree = chrome.execute_cdp_cmd("Accessibility.getFullAXTree", {})
    images = [n for n in tree["nodes"] if n.get("role", {}).get("value") in ("image", "img")
              and not n.get("ignored")]  # fmt: skip
    assert len(images) >= 6
    assert all(n["name"]["value"].strip() for n in images), json.dumps(images)[:500]


def test_the_skip_link_is_first_and_leads_to_the_content(chrome):
    chrome.execute_script("window.scrollTo(0, 0); document.activeElement.blur()")
    link = chrome.find_element("css selector", "a")
    assert link.text.strip() == "Skip to the content" or link.get_attribute("class") == "skip"
    link.send_keys("\n")
    assert chrome.current_url.endswith("#content")
