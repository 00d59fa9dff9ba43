"""A small text, and a training on it that takes a second."""

import pytest

from interp.training import data, session
from interp.training.loop import Recipe
from interp.training.presets import fresh, shape

SENTENCE = "the fox saw grapes that hung high and could not reach them so he said they were sour"
WORDS = SENTENCE.split()


@pytest.fixture(scope="session")
def text(tmp_path_factory):
    """A file with three documents of words in a changing order."""
    path = tmp_path_factory.mktemp("text") / "fables.txt"
    lines = [" ".join(WORDS[(row * step) % 18] for step in range(1, 12)) for row in range(1, 241)]
    parts = ["\n".join(lines[start::3]) for start in range(3)]
    path.write_text("\n<|endoftext|>\n".join(parts), encoding="utf-8")
    return path


RECIPE = Recipe(steps=24, batch=4, rate=3e-3, warmup=4)


class Training:
    """One training in one folder: what `interp train` puts together."""

    def __init__(self, text, folder, recipe=RECIPE, **shape_of):
        self.folder, self.recipe = folder, recipe
        self.data = data.from_text(text, session.place(folder), vocabulary=290, n_ctx=24, seed=0)
        size = {"layers": 2, "heads": 2, "width": 16} | shape_of
        preset = size.pop("preset", "gpt2")
        self.config = shape(preset, d_vocab=len(self.data.tokenizer), n_ctx=24, **size)

    def events(self, save_seconds=1e9):
        """The training as a generator, from where the folder stands."""
        what = {"shape": self.config.to_dict(), "data": self.data.identity}
        notes = session.agree(self.folder, self.recipe, what)
        model = fresh(self.config, self.recipe.seed)
        return session.resume(
            self.folder, model, self.data, self.recipe, notes, save_seconds=save_seconds
        )


@pytest.fixture
def training(text, tmp_path):
    """Makes a training in a folder of this name."""

    def make(name="model", **options):
        return Training(text, tmp_path / name, **options)

    return make


@pytest.fixture(scope="session")
def trained(text, tmp_path_factory):
    """The folder of a training that has ended, and its events."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    return folder, list(Training(text, folder).events())
