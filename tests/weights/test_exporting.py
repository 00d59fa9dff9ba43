"""Models written out: Hugging Face's library computes the same from the folder, and so do we."""

import json

import pytest
import torch

import interp
from interp.errors import UsageError
from interp.tokenizers import tiny as tiny_tokenizer
from interp.transformer import Config, Transformer
from interp.weights import exporting, stored
from interp.weights.comparison import reference_in

KINDS = [
    "gpt2",
    "gpt2-scaled-by-layer",
    "gpt2-unscaled-relu",
    "llama",
    "llama-biased",
    "llama-linear",
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_exported_model_has_the_logits_of_the_one_it_was(kind, folder_of, tokens, tmp_path):
    ours = interp.load(str(folder_of(kind)))
    assert exporting.export(ours, tmp_path) == kind.partition("-")[0]
    with torch.no_grad():
        theirs = reference_in(tmp_path, torch.float32)(tokens).logits
        original = reference_in(folder_of(kind), torch.float32)(tokens).logits
    assert torch.equal(theirs, original)
    assert torch.equal(interp.load(str(tmp_path)).run(tokens).logits, ours.run(tokens).logits)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("neox", "parallel blocks"),
        ("mistral", "windows"),
        ("qwen3", "q/k norm"),
        ("qwen2", "bias on some of the heads' matrices"),
    ],
)
def test_a_shape_that_neither_family_has_is_refused_by_name(kind, reason, folder_of, tmp_path):
    with pytest.raises(UsageError, match=reason):
        exporting.export(interp.load(str(folder_of(kind))), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["tiny-attn-only", "tiny-neox", "tiny-qwen3", "tiny-gpt2"])
def test_a_model_of_any_shape_is_kept_and_loaded_as_it_was(name, tmp_path):
    ours = interp.load(name)
    ours.tokenizer.save_pretrained(tmp_path)
    exporting.write(tmp_path, ours, ["A note."])
    again = interp.load(str(tmp_path))
    text = "When Mary and John went to the store"
    assert torch.equal(again.run(text).logits, ours.run(text).logits)
    assert again.origin.notes == ("A note.",)
    assert (tmp_path / "config.json").exists() == (name == "tiny-gpt2")


def test_half_precision_takes_half_the_room_and_loads_as_float32(tmp_path):
    ours = interp.load("tiny-gpt2")
    for part, dtype in (("whole", torch.float32), ("half", torch.float16)):
        (tmp_path / part).mkdir()
        exporting.write(tmp_path / part, ours, dtype=dtype)
    size = {p: (tmp_path / p / "model.safetensors").stat().st_size for p in ("whole", "half")}
    assert 1.8 < size["whole"] / size["half"] < 2
    again = interp.load(str(tmp_path / "half"))
    assert again.dtype is torch.float32
    assert torch.equal(again.embed.W_E, ours.embed.W_E.half().float())


def test_a_kept_model_without_a_tokenizer_reads_token_ids(tmp_path):
    config = Config(n_layers=1, n_heads=2, d_model=8, d_head=4, d_vocab=11, n_ctx=7)
    model = Transformer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(0))
    exporting.write(tmp_path, model.eval())
    again = interp.load(str(tmp_path))
    assert not again.has_tokenizer
    tokens = torch.tensor([[1, 2, 3]])
    assert torch.equal(again.run(tokens).logits, model.run(tokens).logits)


def test_the_description_of_a_kept_model_names_every_file(tmp_path):
    ours = interp.load("tiny-attn-only")
    tiny_tokenizer.tokenizer("x").save_pretrained(tmp_path)
    exporting.write(tmp_path, ours)
    described = json.loads((tmp_path / stored.DESCRIPTION).read_text())
    assert set(described["files"]) == {it.name for it in tmp_path.iterdir()} - {stored.DESCRIPTION}
    assert stored.intact(tmp_path)
