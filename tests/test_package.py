"""What `import interp` offers."""

import pytest

import interp as package
import interp.weights
from interp.errors import UsageError


def test_names_of_the_package_are_listed_and_lead_to_what_they_name():
    assert {"load", "sweep", "plan", "edits", "sites", "tasks", "metrics"} <= set(dir(package))
    for module in (package, package.tasks, package.weights):
        assert set(module.__all__) <= set(dir(module))
        for name in module.__all__:
            assert getattr(module, name) is not None


def test_a_device_without_numbers_is_refused():
    with pytest.raises(UsageError, match="device 'meta' holds no numbers"):
        package.load("tiny-gpt2", device="meta")
