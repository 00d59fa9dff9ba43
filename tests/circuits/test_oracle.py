"""Edge scores against others': TransformerLens's edge attribution patching, and grouped keys against the same
model with its keys and values written out for every head."""

import pytest
import torch

import interp
from interp.circuits import Graph
from interp.circuits.scores import eap
from interp.circuits.written import kept_for, written
from interp.components import Head, KVHead
from interp.linear import GIM, RELP
from interp.tasks.batches import PromptBatch
from interp.transformer import Config, Transformer

N_VOCAB = 61
SETTINGS = {
    "gpt2": {"n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 16, "n_inner": 40},
    "gpt_neox": {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
    | {"intermediate_size": 40, "max_position_embeddings": 16, "rotary_pct": 0.5},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, request):
    """A random model of Hugging Face's with its own tokenizer beside it."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        request.param, vocab_size=N_VOCAB, bos_token_id=0, eos_token_id=0, **SETTINGS[request.param]
    )
    model, generator = AutoModelForCausalLM.from_config(config), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator)
            shift = "weight" in name and parameter.ndim == 1
            parameter.copy_(
                values / max(parameter.shape) ** 0.5
                if parameter.ndim == 2
                else 0.2 * values + shift
            )
    model.save_pretrained(tmp_path)
    interp.load("tiny-gpt2").tokenizer.save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def batch():
    clean, corrupted = torch.randint(N_VOCAB, (2, 2, 6), generator=torch.Generator().manual_seed(2))
    return PromptBatch.of_tokens(clean, corrupted, torch.tensor([4, 6]), torch.tensor([2, 1]))


def scored(model, graph, batch, **how):
    held = model.run(batch.corrupted, keep=kept_for(model)).cache
    return eap(model, graph, batch, written(model, graph, held), **how).each


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("folder", SETTINGS, indirect=True)
def test_scores_are_those_of_transformerlens(folder, batch, monkeypatch, tmp_path):
    """Its gradients are at the prompt it calls corrupt and its changes lead to the one it calls clean: from
    our clean prompt to our corrupted one, the names turned."""
    monkeypatch.setenv("INTERP_CACHE", str(tmp_path / "cache"))
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.tools.analysis.attribution_patching import (
        EdgeAttributionConfig,
        attribution_patch,
    )
    from transformers import AutoTokenizer

    from interp.weights.comparison import reference_in

    ours = interp.load(str(folder), dtype=torch.float64)
    bridge = TransformerBridge.boot_transformers(
        f"random/{ours.family}",
        hf_model=reference_in(folder, torch.float64),
        tokenizer=AutoTokenizer.from_pretrained(folder),
    ).eval()
    graph = Graph.of(ours)
    mine = scored(ours, graph, batch)
    for number in range(len(batch)):
        answer, wrong = int(batch.answer[number]), int(batch.distractor[number])
        theirs = attribution_patch(
            bridge,
            batch.corrupted[number : number + 1],
            batch.clean[number : number + 1],
            lambda logits, answer=answer, wrong=wrong: logits[0, -1, answer] - logits[0, -1, wrong],
            EdgeAttributionConfig(granularity="edge"),
        ).edge_scores
        sums = torch.zeros(graph.allowed.shape, dtype=torch.float64)
        seen = torch.zeros(graph.allowed.shape, dtype=torch.bool)
        for (writer, reader), score in theirs.items():
            cell = _row(graph, reader), _column(graph, writer)
            sums[cell] += score
            seen[cell] = True
        torch.testing.assert_close(seen, torch.from_numpy(graph.allowed))
        torch.testing.assert_close(mine[number], sums, rtol=1e-5, atol=1e-6)


def _row(graph, node):
    kind = {"q_input": "q", "k_input": "k", "v_input": "v", "mlp_in": "mlp", "logits": "logits"}[
        node.kind
    ]
    layer = None if kind == "logits" else node.layer
    (row,) = [
        row
        for row, each in enumerate(graph.readers)
        if (each.input, each.component.layer) == (kind, layer)
        and node.head in (None, getattr(each.component, "index", None))
    ]
    return row


def _column(graph, node):
    kind = {"embed": "embed", "attn_head_out": "head", "mlp_out": "mlp"}[node.kind]
    (column,) = [
        column
        for column, each in enumerate(graph.writers)
        if each.kind == kind
        and each.layer == node.layer
        and node.head in (None, getattr(each, "index", None))
    ]
    return column


@pytest.mark.parametrize(
    "how", [{}, {"steps": 3}, {"rules": RELP}, {"rules": GIM}], ids=["eap", "eap-ig", "relp", "gim"]
)
def test_grouped_keys_score_as_those_written_out_for_every_head_do(batch, how):
    """In float32: each edge into a group's keys or values is the sum of those of its heads."""
    grouped = interp.load("tiny-qwen3")
    settings = grouped.config.to_dict()
    twin = Transformer(Config.from_dict(settings | {"n_kv_heads": settings["n_heads"]}))
    group = grouped.config.group
    weights = {
        key: each.repeat_interleave(group, 0) if key.rpartition(".")[2] in ("W_K", "W_V") else each
        for key, each in grouped.named_parameters()
    }
    twin.assign(weights)
    graph, apart = Graph.of(grouped), Graph.of(twin)
    mine, theirs = (
        scored(model, each, batch, **how) for model, each in ((grouped, graph), (twin, apart))
    )
    expected = torch.zeros_like(mine)
    for row, reader in enumerate(apart.readers):
        of = reader.component
        if isinstance(of, Head) and reader.input in ("k", "v"):
            of = KVHead(of.layer, of.index // group)
        (at,) = [
            number
            for number, each in enumerate(graph.readers)
            if (each.component, each.input) == (of, reader.input)
        ]
        expected[:, at] += theirs[:, row]
    assert float((mine - expected).abs().max()) < 1e-5 * float(expected.abs().max())
