"""Models with short names: what the list says, and the tiny random ones."""

import subprocess
import sys

import pytest
import torch

import interp
from interp.weights import zoo

TINY = [name for name in zoo.SHORT_NAMES if name.startswith("tiny-")]
PROMPT = "When Mary and John went to the store, John gave a drink to"


@pytest.fixture(params=TINY)
def model(request):
    return interp.load(request.param)


def test_the_list_of_names_needs_no_torch():
    code = "import sys; from interp.weights import zoo; assert 'torch' not in sys.modules; "
    code += "print(*zoo.SHORT_NAMES)"
    listed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "smollm2-135m books-gpt2 tiny-gpt2" in listed.stdout
    assert all(entry.name == name for name, entry in zoo.SHORT_NAMES.items())


def test_a_prompt_is_split_into_whole_words(model):
    words = [*PROMPT.replace(",", " ,").split()]
    assert [token.strip() for token in model.to_str_tokens(PROMPT)] == words


@pytest.mark.parametrize(
    "text", ["naïve café", "日本 🙂", "<s></script>", "  two  spaces\n\ttab ", "Zyzzyva's 1999"]
)
def test_the_tokenizer_loses_nothing(text):
    model = interp.load("tiny-gpt2")
    ids = model.tokenizer(text)["input_ids"]
    assert model.tokenizer.decode(ids) == text
    assert max(ids) < model.config.d_vocab


def test_all_sizes_of_a_tiny_model_differ(model):
    config = model.config
    sizes = [config.d_model, config.d_head, config.n_heads, config.d_vocab, config.n_ctx]
    sizes += [config.n_layers, *({config.n_kv_heads} - {config.n_heads}), *({config.d_mlp} - {0})]
    assert len(set(sizes)) == len(sizes)
    assert config.n_ctx >= 128


def test_no_weight_of_a_tiny_model_is_trivial(model):
    for name, parameter in model.named_parameters():
        assert parameter.std() > 0.01, name


def test_a_tiny_model_is_the_same_every_time_and_in_every_dtype(model):
    again = interp.load(model.name, dtype=torch.float64)
    assert again.origin == model.origin
    assert len(model.origin.weights_sha256) == 64
    for ours, theirs in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs.float())


def test_two_tiny_models_have_different_checksums():
    assert len({interp.load(name).origin.weights_sha256 for name in TINY}) == len(TINY)


def test_tiny_models_share_no_memory():
    first, second = interp.load("tiny-llama"), interp.load("tiny-llama")
    with torch.no_grad():
        first.embed.W_E.zero_()
    assert second.embed.W_E.std() > 0.01
