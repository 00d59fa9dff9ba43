"""What a page says of a gate: every template apart, only the right prompts, only what was refused."""

import pytest

import interp
from interp import tasks
from interp.report import Text
from interp.views import gates


@pytest.fixture(scope="module")
def made():
    model = interp.load("tiny-gpt2")
    task = tasks.build("ioi", model.tokenizer, n=16)
    return task, tasks.gate(model, task)


def test_templates_and_orders_are_not_pooled(made):
    task, gate = made
    frame = gates.by_template(task, gate).frame
    assert list(frame.columns) == ["template", "order", "n", "accuracy", "clean", "corrupted"]
    assert frame.n.sum() == task.n
    for row in frame.itertuples():
        where = task.where(order=row.order, template=row.template)
        assert row.n == where.sum()
        assert row.accuracy == pytest.approx((gate.clean_each[where] > 0).mean())
        assert row.corrupted == pytest.approx(gate.corrupted_each[where].mean())


def test_correct_prompts_alone_are_those_with_the_answer_above(made):
    task, gate = made
    frame = gates.of_correct(task, gate).frame.set_index("prompts")
    assert frame.n.tolist() == [int((gate.clean_each > 0).sum())] * 2
    assert frame.logit_difference["clean"] > 0


def test_a_row_a_task_and_a_line_a_refusal(made):
    task, gate = made
    known = {task.name: gate, "other": "its words are no single tokens"}
    frame = gates.every(known)
    assert frame.task.tolist() == ["ioi", "other"]
    assert frame.accuracy[0] == pytest.approx(float(gate.accuracy.value))
    assert frame.gap_low[0] == pytest.approx(float(gate.gap.low))
    [text] = gates.refusals(known)
    assert text.text.splitlines()[-1] == "- **other**: its words are no single tokens"
    assert gates.refusals({}) == []


def test_where_nothing_was_dropped_the_page_says_so(made):
    assert gates.dropped(made[0]) == Text("All prompts are structurally fit.")
    chart = gates.by_prompt(made[1])
    assert [len(series.y) for series in chart.series] == [16, 16]
