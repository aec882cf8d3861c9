"""The report in headless Chromium: drawn, clicked, zoomed, in the dark and on a phone, without an error or a request."""

import shutil

import pytest

from squeezelerator.sim.command import main

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "r.html"
    assert main(["tiny_all", "--pe", "4", "--html", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as session:
        browser = session.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def opened(browser, report, **options):
    """(page, what went wrong, what was requested)"""
    page = browser.new_context(**options).new_page()
    wrong, requests = [], []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_selector("body[data-drawn=yes]", timeout=60_000)
    return page, wrong, requests


def test_it_is_drawn_and_answers_clicks(browser, report):
    page, wrong, requests = opened(browser, report, viewport={"width": 1200, "height": 900})
    assert page.locator(".figure .main-svg").count() >= 6
    assert not page.locator("#layer").is_visible()
    page.locator("tr[data-layer=fc]").click()
    assert page.locator("#layer h3").inner_text().startswith("fc: bound by ")
    page.locator("#figure-cycles .bars path").first.click(force=True)
    assert page.locator("#layer h3").inner_text().startswith("conv1: bound by ")
    assert "ideal" in page.locator("#layer").inner_text()
    assert wrong == [] and requests == [report.as_uri()]


def test_the_timeline_shows_more_when_one_zooms_in(browser, report):
    page, wrong, _ = opened(browser, report, viewport={"width": 1200, "height": 900})
    count = "document.getElementById('figure-timeline').data.map((trace) => trace.x.length).reduce((a, b) => a + b)"
    drawn = "document.getElementById('figure-timeline').layout.xaxis.range"
    everything = page.evaluate(drawn)
    whole = page.evaluate(count)
    page.evaluate("Plotly.relayout('figure-timeline', {'xaxis.range[0]': 3900, 'xaxis.range[1]': 5000})")
    page.wait_for_function(f"Math.abs(({drawn})[0] - 3900) < 1")
    page.wait_for_timeout(100)
    parts = page.evaluate("document.getElementById('figure-timeline').data[1].base")
    assert parts and min(parts) < 5000
    assert page.evaluate(count) < whole
    page.locator("#whole").click()
    page.wait_for_function(f"({drawn})[0] === 0")
    assert page.evaluate(drawn) == everything and page.evaluate(count) == whole
    assert wrong == []


@pytest.mark.parametrize("scheme, colour", [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 27)")])
def test_a_phone_in_either_scheme(browser, report, scheme, colour):
    page, wrong, _ = opened(browser, report, viewport={"width": 390, "height": 800}, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colour
    text = page.evaluate("getComputedStyle(document.querySelector('#figure-total .xtick text')).fill")
    assert text == page.evaluate("getComputedStyle(document.body).color")
    page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
    page.wait_for_function(f"getComputedStyle(document.querySelector('#figure-total .xtick text')).fill !== '{text}'")
    assert wrong == []
