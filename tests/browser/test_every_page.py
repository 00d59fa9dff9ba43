"""Every page, in light and dark, wide and narrow: quiet, alone, readable."""

import pytest

pytestmark = pytest.mark.browser

PAGES = ("report", "states", "failed", "hostile", "hostile-failed", "index", "empty")


@pytest.fixture(scope="module")
def read(site, module_visit):
    """Every page in light, opened and read through once for all tests that only look."""
    opened = {}

    def read(name):
        if name not in opened:
            opened[name] = module_visit(site[name])
            opened[name].read_through()
        return opened[name]

    return read


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_nothing_on_the_console_and_asks_for_nothing(read, name):
    opened = read(name)
    assert opened.complaints == []
    assert opened.requests == []
    assert opened.page.evaluate("window.hacked") is None


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_a_telephone(read, name):
    page = read(name).page
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_timeout(150)
    width = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size({"width": 1280, "height": 900})
    assert width == 390


@pytest.mark.parametrize(
    ("name", "dark"),
    [*((name, False) for name in PAGES), ("report", True), ("failed", True), ("index", True)],
)
def test_axe_finds_nothing(read, name, dark):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    opened = read(name)
    opened.page.emulate_media(color_scheme="dark" if dark else "light")
    for box in opened.page.query_selector_all("[data-values]:not(:checked)"):
        box.check()
    options = {"resultTypes": ["violations"]}
    if dark:
        # The theme changes colours and nothing else.
        options["runOnly"] = ["color-contrast"]
    elif name == "states":
        # Thousands of cells of the kinds that the report has: their colours are checked there.
        options["rules"] = {"color-contrast": {"enabled": False}}
    found = axe.Axe().run(opened.page, options=options).response["violations"]
    opened.page.emulate_media(color_scheme="light")
    assert [
        (rule["id"], node["html"][:200], node.get("failureSummary", "")[:300])
        for rule in found
        for node in rule["nodes"][:3]
    ] == []


@pytest.mark.parametrize("name", ["report", "index"])
def test_dark_is_dark_and_the_reader_may_choose(site, visit, name):
    def lightness(page):
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[4:-1].split(","))

    opened = visit(site[name], dark=True)
    page = opened.page
    assert lightness(page) < 120
    page.select_option("[data-theme-picker]", "light")
    assert lightness(page) > 700
    page.reload()
    assert lightness(page) > 700
    assert opened.complaints == []


def test_without_scripts_every_number_can_be_read(site, visit):
    page = visit(site["report"], scripts=False).page
    cell = page.locator("#evidence-1 .heatmap tbody td").first
    assert cell.evaluate("e => parseFloat(getComputedStyle(e).fontSize)") >= 9
    assert cell.inner_text()[0] in "+−0"
    assert page.locator("section.table tbody tr").last.is_visible()
    assert page.locator("figure.weights tbody td").first.inner_text() == "1.00"
    assert not page.locator("[data-values]").first.is_visible()


@pytest.mark.parametrize("name", ["report", "index"])
def test_a_page_prints(read, name):
    pdf = read(name).page.pdf()
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 20_000


def test_hostile_tokens_show_as_themselves(read):
    import hostile

    from interp.report import visible

    page = read("hostile").page
    shown = page.locator(".token").first.inner_text()
    everything = visible.token(" ".join(hostile.PAYLOADS))
    assert "".join(shown.split()) == "".join(everything.split())
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.scripts.length") == page.locator("script").count()
