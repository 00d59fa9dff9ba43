"""A page about any run shows what the run computed, edited or not."""

import pytest
import torch

import interp
from interp import edits, sites
from interp.components import Head
from interp.methods.identities.isolation import isolation
from interp.report import Heatmap, Maps
from interp.views import anatomy

TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9]])
EVERY = (
    "tiny-gpt2",
    "tiny-neox",
    "tiny-llama",
    "tiny-qwen3",
    "tiny-attn-only",
    "tiny-bidirectional",
)


def maps(section):
    return [each for block in section.blocks if isinstance(block, Maps) for each in block.heatmaps]


@pytest.mark.parametrize("name", EVERY)
def test_every_step_of_an_edited_run_is_that_of_the_edited_run(name):
    model = interp.load(name, dtype=torch.float64)
    edited = [edits.zero(sites.z(0), heads=1)]
    run = model.run(TOKENS, edits=edited, keep="all")
    found = {each.title.split()[0]: each for each in anatomy.sections(model, run, Head(0, 1))}
    assert len(found) == 6
    similarity, scores, pattern = maps(found["Attention:"])
    assert isinstance(similarity, Heatmap)
    shown = run.cache[sites.scores(0)][0, 1]
    seen = shown.isfinite().numpy()
    assert scores.values[seen] == pytest.approx(shown.numpy()[seen])
    if model.config.positions == "rotary" or not model.config.qk_norm:
        unscaled = similarity.values[seen] / model.block(0).attn.scale
        assert unscaled == pytest.approx(scores.values[seen])
    assert pattern.values.sum(-1) == pytest.approx(1)
    writes = next(
        each for each in found["What"].blocks if getattr(each, "name", "") == "writes"
    ).frame
    assert writes.set_index("tensor").loc["what L0H1 writes", "max"] == 0
    likely = anatomy.most_likely(model, run, 3)
    best = run.logits[0, -1].softmax(-1).topk(3)
    assert likely.id.tolist() == best.indices.tolist()
    assert likely.probability.tolist() == pytest.approx(best.values.tolist(), abs=1e-6)


def test_one_changed_token_moves_its_own_position_alone_where_attention_is_frozen():
    model = interp.load("tiny-gpt2", dtype=torch.float64)
    found = isolation(model, TOKENS, 2)
    assert (found.position, found.replacement) == (2, 1)
    assert found.leak < 1e-12 < 1e-3 < found.moved
    assert found.frozen[:, 2].min() > 1e-3
    free, frozen = maps(anatomy.isolated(model, model.run(TOKENS), found))
    assert free.values.tolist() == found.free.tolist()
    assert frozen.values.tolist() == found.frozen.tolist()


@pytest.mark.parametrize(
    ("tokens", "position", "expected"),
    [([4, 4, 7, 4], 3, 7), ([4, 4, 7, 8], 0, 7), ([4, 4, 4], 1, 5), ([4, 5, 4], -3, 5)],
)
def test_a_token_is_replaced_by_the_nearest_other_one_or_the_next_of_the_vocabulary(
    tokens, position, expected
):
    model = interp.load("tiny-gpt2")
    assert isolation(model, torch.tensor([tokens]), position).replacement == expected
