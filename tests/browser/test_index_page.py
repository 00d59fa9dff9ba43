"""The index: runs filter, sort and group without a server."""

import pytest

pytestmark = pytest.mark.browser


def test_runs_filter_sort_and_group(site, visit):
    opened = visit(site["index"])
    page = opened.page
    runs = page.locator(".run")
    assert runs.count() == 6
    page.locator("[data-filter]").fill("OutOfMemory")
    assert runs.count() == 1
    assert page.locator(".bar .count").inner_text() == "1 of 6 runs"
    page.locator("[data-filter]").fill("")
    page.select_option("[data-group]", "none")
    assert page.locator("[data-runs] h2").all_inner_texts() == ["All runs"]
    page.select_option("[data-sort]", "status")
    states = [run.get_attribute("data-status") for run in runs.all()]
    assert states == sorted(states)
    page.select_option("[data-group]", "model")
    assert page.locator("[data-runs] h2").count() == 2
    assert opened.complaints == []


def test_a_run_without_scripts_is_still_a_link(site, visit):
    page = visit(site["index"], scripts=False).page
    link = page.locator(".run h3 a").first
    assert link.get_attribute("href").endswith("/report.html")
    assert link.is_visible()
