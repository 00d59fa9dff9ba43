"""The views of one report: colours that are the data's, one cursor, one chosen head."""

import random
import re

import numpy as np
import pytest

pytestmark = pytest.mark.browser


def oklab(colour):
    """sRGB "#rrggbb" in OKLab (Ottosson 2020), written here so that the browser does not check
    itself."""
    rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cone = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                     [0.2119034982, 0.6806995451, 0.1073969566],
                     [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
    lab = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                    [1.9779984951, -2.4285922050, 0.4505937099],
                    [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip
    return lab @ np.cbrt(cone @ linear)


def variable(page, name):
    return page.evaluate(
        "n => getComputedStyle(document.documentElement).getPropertyValue(n).trim()", name
    )


def number(text):
    return float(text.replace("−", "-"))


def painted(cell):
    colour = cell.evaluate("e => getComputedStyle(e).backgroundColor")
    return np.array([float(part) for part in re.findall(r"-?[\d.]+(?:e-?\d+)?", colour)[:3]])


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_cell_has_the_colour_of_its_value(site, visit, dark):
    import synthetic

    page = visit(site["report"], dark=dark).page
    zero = oklab(variable(page, "--zero"))
    ends = {sign: oklab(variable(page, name)) for sign, name in ((1, "--pos"), (-1, "--neg"))}
    draw = random.Random(0)
    for place, seed in enumerate((1, 2, 3)):
        values = synthetic.effects(seed)
        limit = np.abs(values).max()
        rows = page.locator("#evidence-1 .heatmap").nth(place).locator("tbody tr")
        strongest = np.unravel_index(np.abs(values).argmax(), values.shape)
        some = [(draw.randrange(30), draw.randrange(9)) for _ in range(12)]
        for row, column in [strongest, *some]:
            cell = rows.nth(int(row)).locator("td").nth(int(column))
            value = values[row, column]
            share = abs(value) / limit
            expected = zero + share * (ends[1 if value > 0 else -1] - zero)
            assert np.abs(painted(cell) - expected).max() < 2e-3
            assert number(cell.text_content()) == pytest.approx(value, abs=0.006)


def test_a_missing_value_is_hatched(site, visit):
    cell = visit(site["report"]).page.locator("#evidence-2 td.x")
    assert cell.count() == 1
    assert "repeating-linear-gradient" in cell.evaluate("e => getComputedStyle(e).backgroundImage")
    assert cell.inner_text() == "–"


def test_a_shared_scale_moves_colours_and_legends_but_no_values(site, visit):
    page = visit(site["report"]).page
    maps = page.locator("#evidence-1 .maps")
    legends = maps.locator(".high")
    before = legends.all_inner_texts()
    texts = maps.locator("tbody td").all_text_contents()
    assert len(set(before)) == 3
    maps.locator("[data-shared]").check()
    after = legends.all_inner_texts()
    assert set(after) == {max(before, key=number)}
    assert maps.locator("tbody td").all_text_contents() == texts
    weakest = min(range(3), key=lambda i: number(before[i]))
    shares = (
        maps.locator(".heatmap")
        .nth(weakest)
        .evaluate("e => [parseFloat(e.style.getPropertyValue('--k')), e.dataset.high]")
    )
    widest = max(number(x) for x in before)
    assert shares[0] == pytest.approx(float(shares[1]) / widest, abs=0.01)
    maps.locator("[data-shared]").uncheck()
    assert legends.all_inner_texts() == before


def test_the_values_switch_shows_and_hides_numbers(site, visit):
    page = visit(site["report"]).page
    maps = page.locator("#evidence-1 .maps")
    size = "e => parseFloat(getComputedStyle(e).fontSize)"
    cell = maps.locator("tbody td").first
    assert cell.evaluate(size) == 0
    maps.locator("[data-values]").check()
    assert cell.evaluate(size) >= 9
    clipped = maps.locator("tbody td").evaluate_all(
        "cells => cells.filter(c => c.scrollWidth > c.clientWidth + 1).length"
    )
    assert clipped == 0


def test_the_keyboard_moves_one_cursor_over_all_maps_and_says_where(site, visit):
    import synthetic

    opened = visit(site["report"])
    page = opened.page
    maps = page.locator("#evidence-1 .maps")
    maps.locator(".map").nth(1).focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    readout = maps.locator(".readout").inner_text()
    assert readout.startswith("L2H1:")
    for title, seed in (("Zero ablation", 1), ("Mean ablation", 2), ("Resample ablation", 3)):
        said = re.search(f"{title} ([+−]?[0-9.]+) logits", readout).group(1)
        assert number(said) == pytest.approx(synthetic.effects(seed)[2, 1], abs=0.006)
    assert maps.locator("td.cursor").count() == 3
    page.keyboard.press("End")
    page.keyboard.press("PageDown")
    assert maps.locator(".readout").inner_text().startswith("L10H8:")
    page.keyboard.press("ArrowRight")
    assert maps.locator(".readout").inner_text().startswith("L10H8:")


def test_choosing_a_head_moves_every_view_and_the_address(site, visit):
    opened = visit(site["report"])
    page = opened.page
    page.locator("#evidence-1 .map").first.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    assert page.evaluate("location.hash") == "#head=L2H0"
    assert page.locator("td.selected").count() == 5
    assert page.locator("#evidence-3 [data-head]").input_value() == "L2H0"
    assert page.locator("#evidence-3 [data-shown]").inner_text() == "L2H0, prompt 1"
    assert page.locator("[data-head-field]").input_value() == "L2H0"
    assert page.locator("tr.selected").get_attribute("data-head") == "L2H0"

    page.select_option("#evidence-3 [data-head]", "L7H4")
    assert page.evaluate("location.hash") == "#head=L7H4"
    assert page.locator("tr.selected").get_attribute("data-head") == "L7H4"

    page.locator("section.table tbody tr").first.click()
    first = page.locator("section.table tbody tr").first.get_attribute("data-head")
    assert page.locator("#evidence-3 [data-head]").input_value() == first
    page.locator("[data-head-field]").fill("12.3")
    page.locator("[data-head-field]").press("Enter")
    assert page.evaluate("location.hash") == "#head=L12H3"
    assert opened.complaints == []


def test_a_shared_address_opens_the_same_view(site, visit):
    opened = visit(site["report"], hash="#evidence-3&head=L7H4&b9-prompt=0")
    page = opened.page
    page.wait_for_timeout(100)
    assert page.locator("#evidence-3 [data-head]").input_value() == "L7H4"
    top = page.locator("#evidence-3").bounding_box()["y"]
    assert abs(top) < 60
    page.locator(".contents a[href='#method']").click()
    assert page.evaluate("location.hash") == "#method&head=L7H4&b9-prompt=0"
    page.locator(".contents a[href='#evidence-1']").click()
    assert page.locator("td.selected").count() == 5
    assert opened.complaints == []


@pytest.mark.parametrize(
    "hash",
    ["#<img src=x onerror=window.hacked=1>", "#head=%", "#head=L99H99", "#a&b&c=d=e", "#%zz"],
)
def test_a_strange_address_does_nothing(site, visit, hash):
    opened = visit(site["report"], hash=hash)
    assert opened.complaints == []
    assert opened.page.evaluate("window.hacked") is None
    assert opened.page.locator("td.selected").count() == 0


def test_tables_sort_and_filter(site, visit):
    import synthetic

    page = visit(site["report"]).page
    table = page.locator("section.table")
    column = "rows => rows.filter(r => r.offsetParent).map(r => r.cells[2].textContent)"
    rows = table.locator("tbody tr")
    assert len(rows.evaluate_all(column)) == 10
    effects = np.sort(synthetic.effects(2).ravel())
    table.get_by_role("button", name="effect").click()
    shown = [number(text) for text in rows.evaluate_all(column)]
    assert shown == pytest.approx(effects[::-1][:10], abs=1e-3)
    table.get_by_role("button", name="effect").click()
    shown = [number(text) for text in rows.evaluate_all(column)]
    assert shown == pytest.approx(effects[:10], abs=1e-3)
    assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
    table.locator("[data-all]").click()
    assert len(rows.evaluate_all(column)) == 270
    table.locator("[data-filter]").fill("L12H")
    assert len(rows.evaluate_all(column)) == 9
    assert table.locator(".count").inner_text() == "9 of 270 rows"


def test_the_list_of_contents_marks_what_is_read(site, visit):
    opened = visit(site["report"])
    page = opened.page
    current = page.locator(".contents [aria-current]")
    assert current.inner_text() == "Summary"
    page.evaluate("document.getElementById('checks').scrollIntoView()")
    page.wait_for_timeout(100)
    assert current.inner_text() == "Checks"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_charts_are_drawn_with_every_series(site, visit, dark):
    opened = visit(site["report"], dark=dark)
    opened.read_through()
    page = opened.page
    charts = page.locator("figure.chart")
    assert charts.count() == 4
    assert charts.nth(0).locator(".scatterlayer .trace").count() == 3
    assert charts.nth(0).locator(".fills path").count() == 1
    assert charts.nth(1).locator(".barlayer .trace").count() == 3
    assert charts.nth(2).locator(".errorbar").count() == 30
    assert charts.nth(3).locator(".points path").count() == 270
    for chart in charts.all():
        drawn = chart.locator("svg.main-svg").first.bounding_box()["width"]
        assert 0 < drawn <= chart.bounding_box()["width"]
    ink = charts.nth(0).locator(".xtick text").first.evaluate("e => getComputedStyle(e).fill")
    assert (sum(int(x) for x in re.findall(r"\d+", ink)[:3]) > 384) is dark
    assert opened.complaints == []
