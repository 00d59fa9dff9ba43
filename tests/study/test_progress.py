"""Progress is plain lines where nobody watches, and counts truly."""

import io
import sys
import time

from interp.study.progress import meter, progress, reach, watching


def test_items_pass_through_and_are_counted():
    with watching("study") as watch:
        seen = []
        for item in progress([3, 1, 2], "layers"):
            seen.append((item, watch.doing))
    assert seen == [(3, "layers 0 of 3"), (1, "layers 1 of 3"), (2, "layers 2 of 3")]
    assert watch.doing == "layers 3 of 3"


def test_outside_a_run_nothing_is_shown(capsys):
    assert list(progress(iter("ab"))) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


def test_a_pipe_gets_plain_lines_while_one_long_step_runs(monkeypatch):
    monkeypatch.setattr(sys.modules[meter.__module__], "_EVERY_SECONDS", 0.01)
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with watching("study"):
        meter("sweeping", 7).advance(2)
        while "\n" not in stream.getvalue():
            time.sleep(0.005)
    assert stream.getvalue().splitlines()[0] == "study: sweeping 2 of 7, 0 s"


def test_a_terminal_gets_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with watching("study"):
        meter("layers", 3)
        while "study: layers 0 of 3" not in stream.getvalue():
            time.sleep(0.005)
    assert stream.getvalue().endswith("\x1b[2K")


def test_the_rate_and_the_time_left_are_of_the_step_alone(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with watching("3 of 15, study") as watch:
        clock[0] += 30
        watch.step("interventions", 120)
        clock[0] += 10
        watch.advance(20)
        assert str(watch) == "3 of 15, study: interventions 20 of 120, 2/s, 50 s left, 40 s"
        watch.step("models", 4)
        clock[0] += 45
        watch.advance()
        assert str(watch) == "3 of 15, study: models 1 of 4, 45 s each, 2 min 15 s left, 85 s"
        watch.step("loading")
        assert str(watch) == "3 of 15, study: loading, 85 s"


def test_what_is_finished_is_not_shown_again():
    with watching("study") as watch:
        reach(96, 96, "interventions")
        assert str(watch) == "study: computing, after interventions, 0 s"
        assert watch.doing == "interventions 96 of 96"
        reach(10, 96, "interventions")
        assert not watch.finished
        began = watch.step_started
        reach(20, 96, "interventions")
        assert watch.step_started == began
