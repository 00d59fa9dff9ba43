"""Distributions, flows and graphs in the browser: they follow the chosen head and answer to it."""

import numpy as np
import pytest

pytestmark = pytest.mark.browser


def number(text):
    return float(text.replace("−", "-"))


@pytest.fixture(scope="module")
def parts(site, module_visit):
    """The section with these blocks, one page for all tests of it."""
    opened = module_visit(site["report"], hash="#evidence-5")
    return opened, opened.page.locator("#evidence-5")


def test_choosing_a_head_moves_the_prompts_the_flow_and_the_graph(parts):
    import synthetic

    opened, section = parts
    page = opened.page
    section.locator(".part-name[data-head='L7H4']").click()
    assert page.evaluate("location.hash") == "#evidence-5&head=L7H4"
    assert section.locator(".samples [data-cell]").inner_text() == "L7H4"
    assert section.locator(".dots-row.selected").get_attribute("data-head") == "L7H4"
    assert section.locator(".node.selected").get_attribute("data-name") == "L7H4"
    assert section.locator(".edge.on").count() == 2
    assert page.locator("[data-head-field]").input_value() == "L7H4"
    own = synthetic.samples(11)[7, 4]
    mean = number(section.locator(".samples .mean-text").first.inner_text())
    assert mean == pytest.approx(own.mean(), abs=2e-4)
    section.locator(".node[data-head='L2H0']").click()
    assert section.locator(".samples [data-cell]").inner_text() == "L2H0"
    assert section.locator(".part-name.selected").inner_text().startswith("L2H0")


def test_dots_stand_where_the_values_are(parts):
    import synthetic

    opened, section = parts
    opened.page.evaluate("location.hash = '#evidence-5&head=L12H3'")
    opened.page.wait_for_function("document.querySelector('[data-cell]').textContent === 'L12H3'")
    own = synthetic.samples(11)[12, 3]
    places = section.locator(".samples .dot").evaluate_all(
        "dots => dots.map(d => [Number(d.dataset.e), parseFloat(d.style.left)])"
    )
    assert len(places) == 16
    seen = np.array([left for _, left in sorted(places)])
    slope, start = np.polyfit(own, seen, 1)
    assert np.abs(slope * own + start - seen).max() < 0.05
    ticks = section.locator(".samples .scale b").evaluate_all(
        "ticks => ticks.map(t => [t.textContent, parseFloat(t.style.left)])"
    )
    for text, left in ticks:
        assert slope * number(text) + start == pytest.approx(left, abs=0.1)


def test_a_prompt_is_found_in_every_row_and_read_out(parts):
    opened, section = parts
    rows = section.locator(".distribution")
    rows.locator(".dot[data-e='7']").first.hover()
    assert rows.locator(".dot.same").count() == 3
    assert rows.locator(".readout").inner_text().endswith(" to 7")
    assert opened.complaints == []


def test_a_graph_goes_by_keys_zooms_and_speaks(parts):
    opened, section = parts
    page = opened.page
    page.evaluate("page.set('head', undefined)")
    graph = section.locator(".graph")
    svg = graph.locator("svg").first
    before = svg.bounding_box()["width"]
    graph.locator("[data-zoom='1.25']").click()
    assert svg.bounding_box()["width"] == pytest.approx(1.25 * before, abs=1)
    graph.locator(".canvas-box").focus()
    page.keyboard.press("0")
    assert svg.bounding_box()["width"] == pytest.approx(before, abs=1)
    for key in ("ArrowUp", "ArrowUp", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    at = graph.locator(".node.cursor").get_attribute("data-name")
    assert at != "embed"
    assert graph.locator(".readout").inner_text().startswith(f"{at}:")
    page.evaluate("page.set('head', 'L7H4')")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert page.evaluate("page.get('head')") is None
    graph.locator(".node[data-name='logits']").hover()
    said = graph.locator(".readout").inner_text()
    assert said.startswith("logits:")
    assert "← L7H4 +1.90" in said
    assert graph.locator(".edge.on").count() == 2
    assert opened.complaints == []


def test_a_comparison_opens_quietly(site, visit):
    opened = visit(site["comparison"])
    opened.read_through()
    assert opened.complaints == []
    assert opened.requests == []
    page = opened.page
    page.locator("section.table tr[data-head]").first.click()
    head = page.evaluate("page.get('head')")
    assert page.locator("td.selected").count() == 3
    assert page.locator(".samples [data-cell]").inner_text() == head
