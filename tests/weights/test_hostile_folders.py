"""Whatever stands in a model's folder is loaded or refused in one sentence, and nothing waits for it."""

import importlib.util
import os
import shutil
import time
from pathlib import Path

import pytest
import torch

import interp
from interp.errors import InterpError
from interp.weights import exporting

_SPEC = importlib.util.spec_from_file_location(
    "model_folders", Path(__file__).parent.parent / "fuzzing" / "model_folders.py"
)
model_folders = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(model_folders)

KINDS = ("gpt2", "neox", "llama-biased", "qwen3-windows", "own", "own-shape", "old")
SOME = int(os.environ.get("FUZZ_MODELS", "12"))


@pytest.fixture(scope="module")
def good(folder_of, tmp_path_factory, old_folder):
    """kind -> a folder that loads, of every kind that there is."""
    made = {}

    def folder(kind):
        if kind == "old":
            return old_folder
        if not kind.startswith("own"):
            return folder_of(kind)
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            model = interp.load("tiny-llama" if kind == "own" else "tiny-attn-only")
            exporting.write(made[kind], model)
            model.tokenizer.save_pretrained(made[kind])
        return made[kind]

    return folder


@pytest.fixture(scope="module")
def old_folder(tmp_path_factory):
    """A checkpoint of the old HookedTransformer class, in PyTorch's format."""
    folder, config = tmp_path_factory.mktemp("old"), {}
    config |= {"n_layers": 2, "d_model": 12, "n_ctx": 9, "d_head": 4, "n_heads": 3, "d_vocab": 11}
    config |= {"act_fn": "relu", "normalization_type": "LN", "d_mlp": 10, "d_vocab_out": 11}
    model_folders.write_json(folder / "config.json", config)
    shaped = interp.transformer.Config(
        n_layers=2, n_heads=3, d_model=12, d_head=4, d_vocab=11, n_ctx=9, d_mlp=10, tied=False
    )
    model = interp.transformer.Transformer(shaped)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    torch.save({name: it.detach() for name, it in model.named_parameters()}, folder / "m.pt")
    return folder


def attempt(folder, change, place, label):
    """What loading and running says after the change; empty if it goes well."""
    copied = place / "model"
    shutil.rmtree(copied, ignore_errors=True)
    shutil.copytree(folder, copied)
    change(copied)
    began = time.monotonic()
    try:
        model = interp.load(copied)
        model.run(torch.tensor([[1, 2, 3]]))
        if model.has_tokenizer:
            model.to_tokens("Mary")
    except InterpError as error:
        said = str(error)
        assert 10 < len(said) < 600, (label, len(said), said[:900])
        assert said.isprintable(), (label, said)
        return said
    finally:
        assert time.monotonic() - began < 5, label
    return ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_with_one_change_is_loaded_or_refused_in_a_sentence(kind, good, tmp_path):
    for label, change in model_folders.changes(good(kind), seed=f"{kind} 1", n=SOME):
        attempt(good(kind), change, tmp_path, label)


@pytest.mark.parametrize("kind", ["llama-biased", "own", "old"])
def test_what_is_no_file_is_refused_unread(kind, good, tmp_path):
    for label, change in model_folders.fixed(good(kind)):
        said = attempt(good(kind), change, tmp_path, label)
        if "model.safetensors" in label or "m.pt" in label or "interp.json" in label:
            assert said or "nothing for interp.json" in label, label
