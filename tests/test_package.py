"""What `import interp` offers."""

from pathlib import Path

import pytest

import interp as package
import interp.weights
from interp.errors import UsageError


def test_names_of_the_package_are_listed_and_lead_to_what_they_name():
    assert {"load", "sweep", "plan", "edits", "sites", "tasks", "metrics"} <= set(dir(package))
    assert {"ablate", "attribute", "patch", "paths"} <= set(dir(package.methods))
    rooms = (package.methods, package.views, package.training, package.classifiers, package.study)
    for module in (package, package.tasks, package.weights, *rooms):
        assert set(module.__all__) <= set(dir(module))
        for name in module.__all__:
            assert getattr(module, name) is not None


def test_a_task_for_a_model_asks_for_its_tokenizer():
    with pytest.raises(UsageError, match=r"give model\.tokenizer"):
        package.tasks.build("ioi", package.load("tiny-gpt2"))


def test_a_device_without_numbers_is_refused():
    with pytest.raises(UsageError, match="device 'meta' holds no numbers"):
        package.load("tiny-gpt2", device="meta")


def test_the_citation_names_this_version():
    citation = (Path(interp.__file__).parent.parent / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {interp.__version__}\n" in citation


def test_the_old_name_of_the_study_room_goes_on_working():
    from interp import lab, study

    assert lab.experiment is study.study
    assert lab.tolerance.__name__ == "interp.views.tolerance"
    with pytest.raises(ImportError, match="interp.lab.scores is gone: import Effects"):
        from interp.lab import scores  # noqa: F401


def test_old_names_in_files_that_users_have_go_on_working():
    from interp.methods.induction import longest, repetition
    from interp.methods.repetition import draw
    from interp.tokenizers import bpe
    from interp.training.bpe import learn
    from interp.training.letters import tokenizer

    assert repetition is draw
    assert learn is bpe.learn
    assert callable(longest)
    assert callable(tokenizer)
