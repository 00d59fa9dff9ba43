"""Pages: whatever a token says is text, only our scripts may run, and sizes stay small."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import hostile
import numpy as np
import pandas as pd
import pytest
import synthetic

from interp.report import Check, Heatmap, Report, Section, Table, Text, render, visible
from interp.report.markup import labelled, prose
from interp.report.render import digest, island


class Skeleton(HTMLParser):
    """The tags of a page with their attributes' names, the texts, and each script's content."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.tags, self.texts, self.scripts, self.values = [], [], [], []
        self._script = None
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, *(name for name, _ in attributes if name not in ("style", "open"))))
        self.values += [value for _, value in attributes if value]
        if tag == "script":
            self._script = dict(attributes)
            self.scripts.append([self._script.get("type"), ""])

    def handle_endtag(self, tag):
        self.tags.append(f"/{tag}")
        self._script = None if tag == "script" else self._script

    def handle_data(self, data):
        if self._script is not None:
            self.scripts[-1][1] += data
        else:
            self.texts.append(data)

    def handle_comment(self, data):
        self.tags.append(f"comment {data}")


def seen(text):
    """How prose shows a string: hidden characters spelt out, runs of white space as one."""
    return " ".join(visible.reveal(text).split())


@pytest.fixture(scope="module")
def plain():
    return Skeleton(render.page(hostile.result("plain")))


def test_there_are_enough_hostile_strings():
    assert len(set(hostile.PAYLOADS)) >= 40


@pytest.mark.parametrize("text", hostile.PAYLOADS, ids=ascii)
def test_a_hostile_string_is_shown_and_changes_no_tag(text, plain):
    page = Skeleton(render.page(hostile.result(text)))
    assert page.tags == plain.tags
    texts = [" ".join(part.split()) for part in page.texts]
    assert sum(seen(text) in part for part in texts) > 40
    assert sum(visible.token(text) in part for part in page.texts) >= 10
    executable = [content for kind, content in page.scripts if kind is None]
    assert executable == [content for kind, content in plain.scripts if kind is None]


@pytest.mark.parametrize("text", hostile.PAYLOADS, ids=ascii)
def test_a_hostile_string_is_only_text_on_the_index_and_on_a_failed_page(text):
    def tags(words):
        index = render.index(
            [hostile.result(words), hostile.failed(words)], [(words,) * 3], [(words, words)]
        )
        return Skeleton(index).tags + Skeleton(render.page(hostile.failed(words))).tags

    assert tags(text) == tags("plain")


@pytest.mark.parametrize("text", hostile.PAYLOADS, ids=ascii)
def test_an_island_is_json_that_cannot_close_its_element(text):
    data = island({"text": text})
    assert json.loads(data) == {"text": text}
    assert not re.search("[<>&\u2028\u2029]", data)


def test_an_island_refuses_nan():
    with pytest.raises(ValueError, match="JSON compliant"):
        island({"value": float("nan")})


@pytest.mark.parametrize(
    "page",
    [
        render.page(synthetic.result()),
        render.page(synthetic.failed()),
        render.index([synthetic.result()]),
        render.index([]),
    ],
    ids=["report", "failed", "index", "empty index"],
)
def test_the_policy_lets_exactly_the_pages_scripts_run(page):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    rules = dict(rule.split(" ", 1) for rule in policy.replace("&#39;", "'").split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == "'unsafe-inline'"
    assert rules["img-src"] == "data:"
    assert (rules["base-uri"], rules["form-action"]) == ("'none'", "'none'")
    code = [text for kind, text in Skeleton(page).scripts if kind in (None, "text/plain")]
    assert sorted(rules["script-src"].split()) == sorted(f"'{digest(text)}'" for text in code)
    assert len(code) in (2, 4)


def test_no_page_has_an_inline_handler_or_points_outside():
    for page in (render.page(synthetic.result()), render.index([synthetic.result()])):
        skeleton = Skeleton(page)
        names = {name for tag in skeleton.tags if isinstance(tag, tuple) for name in tag[1:]}
        assert not {name for name in names if name.startswith("on")}
        assert "src" not in names or all(
            value.startswith("data:") for value in re.findall(r'<[^>]* src="([^"]*)"', page)
        )
        outside = [value for value in skeleton.values if re.match(r"(https?:)?//", value)]
        assert outside == []


def without(*kinds):
    report = synthetic.report()
    sections = [
        Section(part.title, [b for b in part.blocks if type(b).__name__ not in kinds], part.intro)
        for part in report.sections
    ]
    return synthetic.result(report=Report("a", "supported", sections, inputs=report.inputs))


def test_pages_stay_small():
    assert len(render.page(without("Attention", "Chart")).encode()) <= 400_000
    assert len(render.page(without("Chart")).encode()) <= 2_000_000
    assert len(render.page(synthetic.result()).encode()) <= 7_000_000


def test_libraries_lie_only_in_pages_that_use_them():
    assert "library-plotly" not in render.page(without("Chart"))
    assert "library-circuitsvis" not in render.page(without("Attention"))
    assert 'type="text/plain"' not in render.page(without("Attention", "Chart"))


@pytest.mark.parametrize("shape", [(30, 1024), (48, 64), (1, 1), (2, 300)])
def test_maps_of_every_size_fit_a_page(shape):
    values = np.random.default_rng(0).normal(size=shape)
    block = Heatmap("m", values, "layer", "position")
    page = render.page(synthetic.result(report=Report("a", "not run", [Section("s", [block])])))
    assert len(page.encode()) < 400_000
    assert ("<img" in page) == (values.size > 5_000)


def test_a_large_table_shows_its_first_rows_and_says_how_many_there_are():
    frame = pd.DataFrame({"x": np.arange(20_000)})
    report = Report("a", "not run", [Section("s", [Table("big", frame, first_rows=7)])])
    page = render.page(synthetic.result(report=report))
    assert page.count("<tr>") + page.count("<tr ") < 40
    assert "The first 7 of 20,000 rows" in page


def test_an_empty_table_says_so():
    report = Report("a", "not run", [Section("s", [Table("e", pd.DataFrame({"x": []}))])])
    assert "This table has no rows." in render.page(synthetic.result(report=report))


def test_the_page_is_in_reading_order():
    page = render.page(synthetic.result())
    marks = ["<h1>Which heads", "Removing <strong>L9H6", "Expected beforehand", "headlines",
             "Two of 18 prompts", 'id="inputs"', 'id="evidence-1"', 'id="evidence-4"',
             'id="controls" class', 'id="checks"', 'id="method"', 'id="limits"',
             'id="provenance"', 'id="downloads"']  # fmt: skip
    body = page[page.index("<main>") :]
    places = [body.index(mark) for mark in marks]
    assert places == sorted(places)


def test_a_failed_run_says_where_and_how_to_go_on():
    page = render.page(synthetic.failed())
    for words in ("OutOfMemoryError", "ablating layer 12 of 30", "--memory 4GB", "failed"):
        assert words in page


def test_a_partial_run_says_so_before_its_numbers():
    page = render.page(synthetic.result(status="partial"))
    body = page[page.index("<main>") :]
    assert body.index("This run is partial") < body.index('id="evidence-1"')


def test_a_run_that_does_not_apply_gives_its_reason():
    report = Report("The model has no MLP.", "not run", [])
    page = render.page(synthetic.result(report=report))
    assert "The model has no MLP." in page
    assert "verdict-not-run" in page


def test_a_failing_check_stands_out_at_the_top():
    page = render.page(synthetic.result())
    assert "3 of 3 checks pass" in page
    broken = replace(synthetic.report(), checks=[Check("c", 1.0, 0.5)])
    page = render.page(synthetic.result(report=broken))
    assert "0 of 1 checks pass" in page
    assert 'class="checks-link bad"' in page


def test_an_empty_index_gives_the_three_commands():
    page = render.index([])
    for command in ("make reports", "interp list", "interp run anatomy --model smollm2-135m"):
        assert f">{command}</pre>" in page


def test_the_index_links_every_run_by_its_folder(tmp_path):
    run = synthetic.result(folder=tmp_path / "a b" / "ioi" / "head_ablation--12345678")
    page = render.index([run], [("parity", "Is it equal?", "interp run parity")], [("x.py", "bad")])
    assert 'href="a%20b/ioi/head_ablation--12345678/report.html"' in page
    for words in (
        "3.41 logits",
        "3.22 to 3.60",
        "Is it equal?",
        "interp run parity",
        "x.py",
        "bad",
    ):
        assert words in page


def test_prose_knows_four_marks_and_nothing_else():
    html = prose("One `a<b` **bold**\nline.\n\n- first\n- second\n  goes on\n\n<i>no</i> # no")
    assert html == (
        "<p>One <code>a&lt;b</code> <strong>bold</strong> line.</p>"
        "<ul><li>first</li><li>second goes on</li></ul><p>&lt;i&gt;no&lt;/i&gt; # no</p>"
    )


def test_prose_spells_out_separators_that_count_as_white_space():
    assert prose("a\u2028b\n\n\u2029c") == "<p>a⟨U+2028⟩b</p><p>⟨U+2029⟩c</p>"


def test_a_docstring_is_read_by_its_labels():
    parts = labelled("Before.\n\nMethod  One.\n        Two.\nUnits   Nats.\n\nSource  X.")
    assert [(label, str(body)) for label, body in parts] == [
        ("", "<p>Before.</p>"), ("Method", "<p>One. Two.</p>"), ("Units", "<p>Nats.</p>"),
        ("Source", "<p>X.</p>"),
    ]  # fmt: skip


def test_studies_named_under_see_lead_to_their_runs_and_nothing_else_does():
    (method, see) = labelled("Method  As `circuit`.\nSee     `circuit`, `a b`, `<s>`.")
    assert "href" not in method[1]
    assert see[0] == "See"
    assert see[1].count("<a ") == 1
    assert '<a href="../../../index.html#find=circuit"><code>circuit</code></a>' in see[1]
    assert "&lt;s&gt;" in see[1]


def test_tokens_show_their_spaces_and_hidden_characters():
    assert visible.token(" the") == "·the"
    assert visible.token("\n\n") == "↵↵"
    assert visible.token("") == "⟨empty⟩"
    assert visible.token("a\u202eb") == "a⟨U+202E⟩b"
    assert visible.token("\u0301") == "◌\u0301"


def test_text_blocks_may_be_alone():
    report = Report("a", "supported", [Section("s", [Text("only words")])])
    assert "only words" in render.page(synthetic.result(report=report))


def test_every_state_is_a_small_page_that_says_what_it_is():
    page = render.page(synthetic.states())
    assert len(page.encode()) <= 2_000_000
    for words in (
        "This run is partial",
        "This table has no rows.",
        "too long to be drawn",
        "30,720 values",
        "no value",
        "⟨U+202E⟩abc",
        "⟨empty⟩",
        "e\u0301",
        "👩\u200d👩\u200d👧",
    ):
        assert words in page
    assert page.count("48 by 64 map") == 1
