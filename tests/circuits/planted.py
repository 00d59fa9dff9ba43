"""Models whose circuit is known because every weight of it is written here, in float64.

There is no norm and no bias unless one is named. The residual stream is made of blocks, each of which one
thing writes; a head has dimensions for places and, behind them, one for every token. Heads that take part in
nothing write what they read into a block that nobody reads. `effects` are worked out by hand: what removing
an edge alone does to answer minus wrong, and edges that are not named do nothing.
"""

from dataclasses import dataclass, replace

import torch

from interp.circuits import Graph
from interp.tasks import Task
from interp.tasks.base import Prompt
from interp.tokenizers import letters
from interp.transformer import Config, Origin, Transformer

VOCAB, BOS, WRONG = 23, 0, 22
N_CTX = 6
# Attention to places is certain; to tokens it is as sharp as a model is made.
CERTAIN = 400.0


@dataclass(frozen=True)
class Planted:
    """A model, its graph, prompts on which its circuit is all that counts, and what its edges do there."""

    model: Transformer
    graph: Graph
    task: Task
    effects: dict[str, float]

    def cells(self):
        """The row and the column of every edge that does something."""
        spelt = {str(self.graph.edge(*cell)): cell for cell in self.graph.cells()}
        return [spelt[name] for name in self.effects]

    def circuit(self):
        """The mask of these edges."""
        mask = self.graph.allowed & False
        for cell in self.cells():
            mask[cell] = True
        return mask

    def expected(self):
        """The effect of every edge, in the order of the graph's cells."""
        known = dict(zip(self.cells(), self.effects.values(), strict=True))
        return [known.get(cell, 0.0) for cell in self.graph.cells()]


def prompts(rows, answers, wrong=None, named=()):
    """A task of these pairs of clean and corrupted tokens; every prompt is a template of its own."""
    wrong = [WRONG] * len(rows) if wrong is None else wrong
    made = [
        Prompt(
            clean=" ".join(map(str, clean)),
            corrupted=" ".join(map(str, corrupted)),
            answer=str(answer),
            wrong=str(bad),
            clean_tokens=tuple(clean),
            corrupted_tokens=tuple(corrupted),
            answer_token=answer,
            wrong_token=bad,
            template=f"template {row}",
            cluster=f"template {row}",
            positions={**dict(named), "END": len(clean) - 1},
            half="held_out" if row % 2 else "discovery",
        )
        for row, ((clean, corrupted), answer, bad) in enumerate(
            zip(rows, answers, wrong, strict=True)
        )
    ]
    return Task(
        "planted", "Does the circuit that was built do what it was built for?", tuple(made), None
    )


def turned(task):
    """The same with clean and corrupted exchanged: removing an edge there restores it here (denoising)."""
    return replace(
        task,
        prompts=tuple(
            replace(
                each,
                clean=each.corrupted,
                corrupted=each.clean,
                clean_tokens=each.corrupted_tokens,
                corrupted_tokens=each.clean_tokens,
            )
            for each in task.prompts
        ),
    )


def blank(blocks, d_head, **settings):
    """A model of zeros with a residual stream of these blocks, and where each of them is."""
    ends = torch.tensor(list(blocks.values())).cumsum(0).tolist()
    at = {
        name: slice(end - size, end) for (name, size), end in zip(blocks.items(), ends, strict=True)
    }
    plain = dict.fromkeys(("q_bias", "kv_bias", "o_bias"), False)
    config = Config(
        d_model=ends[-1],
        d_head=d_head,
        d_vocab=VOCAB,
        n_ctx=N_CTX,
        norm="none",
        tied=False,
        attn_scale=1.0,
        **plain | settings,
    )
    model = Transformer(config).double()
    weights = {name: torch.zeros_like(each) for name, each in model.named_parameters()}
    return config, weights, at


def made(config, weights):
    """The model with these weights."""
    origin = Origin("planted", "planted", "0" * 64)
    model = Transformer(config, origin, lambda: letters.tokenizer(VOCAB)).double()
    model.load_state_dict(weights)
    return model


def induction(grouped=False, strength=20.0, seed=0):
    """`BOS a b c d a` → b. A head of layer 0 attends to the token before and writes it; one of layer 1
    attends to where that is the token that it stands on, and writes the token there. With learned positions,
    or with rotary ones and keys that two heads share. On corrupted prompts no token is repeated.

    A distractor: a head of layer 0 writes that the text has a beginning, and one of layer 1 writes half a
    logit of the wrong token for it. On both prompts it does so alike.
    """
    places = N_CTX
    shape = {"n_heads": 3, "positions": "learned"}
    before, note, inducing, told = 1, 0, 2, 0
    if grouped:
        shape = {"n_heads": 4, "n_kv_heads": 2, "positions": "rotary", "rotary_dim": places}
        shape["rotary_base"] = 10.0
        before, note, inducing, told = 2, 1, 1, 3
    blocks = {
        "token": VOCAB,
        "one": 1,
        "place": N_CTX,
        "before": VOCAB,
        "note": 1,
        "dead": VOCAB,
        "out": VOCAB,
    }
    config, weights, at = blank(blocks, places + VOCAB, n_layers=2, **shape)
    words, place = slice(places, places + VOCAB), slice(0, places)
    eye = torch.eye(VOCAB, dtype=torch.float64)

    def attention(layer, name):
        return weights[f"blocks.{layer}.attn.W_{name}"]

    weights["embed.W_E"][:, at["token"]] = eye
    weights["embed.W_E"][:, at["one"]] = 1
    weights["unembed.W_U"][at["out"]] = eye
    # All heads read tokens and write them where nobody reads, but for those that are named.
    for layer in range(2):
        attention(layer, "V")[:, at["token"], words] = eye
        attention(layer, "O")[:, words, at["dead"]] = eye
    shared = config.group
    if grouped:
        # u at every place, and a key that is u of the place after it: they agree at a distance of 1.
        turn = config.rotary_base ** (-torch.arange(0, places, 2, dtype=torch.float64) / places)
        attention(0, "Q")[before, at["one"], : places // 2] = CERTAIN
        attention(0, "K")[before // shared, at["one"], place] = torch.cat([turn.cos(), turn.sin()])
    else:
        weights["pos_embed.W_pos"][:, at["place"]] = torch.eye(N_CTX, dtype=torch.float64)
        attention(0, "Q")[before, at["place"], place] = CERTAIN * torch.eye(N_CTX).double()
        attention(0, "K")[before, at["place"], place] = torch.eye(N_CTX).double().roll(1, 1)
    attention(0, "O")[before] = 0
    attention(0, "O")[before, words, at["before"]] = eye
    attention(0, "Q")[note, at["one"], places + BOS] = CERTAIN
    attention(0, "K")[note // shared, at["token"], places + BOS] = eye[:, [BOS]].squeeze()
    attention(0, "O")[note] = 0
    attention(0, "O")[note, places + BOS, at["note"]] = 1
    attention(1, "Q")[inducing, at["token"], words] = strength * eye
    attention(1, "K")[inducing // shared, at["before"], words] = eye
    attention(1, "O")[inducing] = 0
    attention(1, "O")[inducing, words, at["out"]] = eye
    attention(1, "V")[told // shared] = 0
    attention(1, "V")[told // shared, at["note"], places] = 1
    attention(1, "O")[told] = 0
    attention(1, "O")[told, places, at["out"].start + WRONG] = 0.5
    model = made(config, weights)

    draw = torch.Generator().manual_seed(seed)
    rows, answers = [], []
    for _ in range(16):
        a, b, c, d, *other = (1 + torch.randperm(WRONG - 1, generator=draw)[:9]).tolist()
        rows.append(([BOS, a, b, c, d, a], [BOS, *other]))
        answers.append(b)
    p, even = share(strength), 1 / N_CTX
    keys = (lambda layer, head: f"L{layer}KV{head // shared}") if grouped else "L{}H{}".format
    effects = {
        f"embed → {keys(0, before)}.v": even - p,
        f"embed → L1H{inducing}.q": even - p,
        f"L0H{before} → {keys(1, inducing)}.k": even - p,
        f"embed → {keys(1, inducing)}.v": -p,
        f"L1H{inducing} → logits.logits": -p,
    }
    return Planted(model, Graph.of(model), prompts(rows, answers), effects)


def share(strength, others=N_CTX - 1):
    """The attention on a key of this score beside so many of score 0."""
    return float(1 / (1 + others * torch.tensor(-strength, dtype=torch.float64).exp()))


def gate(kind):
    """`x y z END` → 1 if x is 2 or y is 4 (`or`), or if both are (`and`). A head for each of the two writes 1
    to a dimension of its own where it is, and the MLP adds them up and bends at 1. What z is, which is alike
    on both prompts, a third head writes where nobody reads. On corrupted prompts x is 3 and y is 5."""
    blocks = {"token": VOCAB, "place": N_CTX, "one": 1, "x": 1, "y": 1, "dead": VOCAB, "out": 1}
    config, weights, at = blank(
        blocks, N_CTX + VOCAB, n_layers=1, n_heads=3, d_mlp=2, activation="relu"
    )
    W_Q, W_K, W_V, W_O = (weights[f"blocks.0.attn.W_{name}"] for name in "QKVO")
    weights["embed.W_E"][:, at["token"]] = torch.eye(VOCAB).double()
    weights["embed.W_E"][:, at["one"]] = 1
    weights["pos_embed.W_pos"][:, at["place"]] = torch.eye(N_CTX).double()
    weights["unembed.W_U"][at["out"], 1] = 1
    for head, token in ((0, 2), (1, 4)):
        W_V[head, at["token"].start + token, 0] = 1
        W_O[head, 0, at["xy"[head]]] = 1
    W_V[2, at["token"], N_CTX:] = torch.eye(VOCAB).double()
    W_O[2, N_CTX:, at["dead"]] = torch.eye(VOCAB).double()
    for head in range(3):
        W_Q[head, at["one"], head] = CERTAIN
        W_K[head, at["place"], :N_CTX] = torch.eye(N_CTX).double()
    # With s = x + y: min(s, 1) = relu(s + 1) - relu(s - 1) - 1, and relu(s - 1).
    into, out = weights["blocks.0.mlp.W_in"], weights["blocks.0.mlp.W_out"]
    into[at["x"]], into[at["y"]] = 1, 1
    weights["blocks.0.mlp.b_in"][:] = torch.tensor([1.0, -1.0])
    out[:, at["out"]] = torch.tensor([[1.0], [-1.0]] if kind == "or" else [[0.0], [1.0]]).double()
    weights["blocks.0.mlp.b_out"][at["out"]] = -1 if kind == "or" else 0
    model = made(config, weights)
    rows = [([2, 4, z, 6], [3, 5, z, 6]) for z in range(7, 19)]
    one = 0.0 if kind == "or" else -1.0
    inputs = ("embed → L0H0.v", "embed → L0H1.v", "L0H0 → L0 MLP.mlp", "L0H1 → L0 MLP.mlp")
    effects = dict.fromkeys(inputs, one) | {"L0 MLP → logits.logits": -1.0}
    return Planted(model, Graph.of(model), prompts(rows, [1] * len(rows)), effects)


def looked_up():
    """`BOS t b c d END` → t + 1, which the MLP of layer 0 looks up where t stands, neuron by neuron, and a
    head of layer 1 brings to the end. Another path is as strong: a head of layer 0 brings b to the end and
    one of layer 1 writes as many logits of the wrong token for it, but b is the same on both prompts."""
    blocks = {"token": VOCAB, "place": N_CTX, "one": 1, "next": VOCAB, "b": VOCAB, "out": VOCAB}
    config, weights, at = blank(
        blocks, N_CTX + VOCAB, n_layers=2, n_heads=2, d_mlp=VOCAB, activation="relu", mlp_bias=False
    )
    eye, words = torch.eye(VOCAB).double(), slice(N_CTX, N_CTX + VOCAB)
    weights["embed.W_E"][:, at["token"]] = eye
    weights["embed.W_E"][:, at["one"]] = 1
    weights["pos_embed.W_pos"][:, at["place"]] = torch.eye(N_CTX).double()
    weights["unembed.W_U"][at["out"]] = eye
    weights["blocks.0.mlp.W_in"][at["token"]] = eye
    weights["blocks.0.mlp.W_out"][:, at["next"]] = eye.roll(1, 1)

    def head(layer, index, place, reads, writes, what):
        W_Q, W_K, W_V, W_O = (weights[f"blocks.{layer}.attn.W_{name}"][index] for name in "QKVO")
        W_Q[at["one"], place] = CERTAIN
        W_K[at["place"], :N_CTX] = torch.eye(N_CTX).double()
        W_V[at[reads], words] = eye
        W_O[words, at[writes]] = what

    wrong = torch.zeros_like(eye)
    wrong[:, WRONG] = 1
    head(0, 0, 2, "token", "b", eye)
    head(1, 0, N_CTX - 1, "b", "out", wrong)
    head(1, 1, 1, "next", "out", eye)
    model = made(config, weights)
    rows = [([BOS, t, 3, 4, 5, 6], [BOS, t + 7, 3, 4, 5, 6]) for t in range(7, 13)]
    path = ("embed → L0 MLP.mlp", "L0 MLP → L1H1.v", "L1H1 → logits.logits")
    answers = [clean[1] + 1 for clean, _ in rows]
    return Planted(model, Graph.of(model), prompts(rows, answers), dict.fromkeys(path, -1.0))


def movers():
    """`BOS x y s END` → the one of x and y that s is not. A head of layer 0 attends from s to where it came
    before, one of layer 1 brings what that one wrote to the end, and there it keeps the heads of layer 2 from
    s: of what they attend to one writes the logit, and one takes away a third of that."""
    blocks = {
        "token": VOCAB,
        "place": N_CTX,
        "one": 1,
        "again": VOCAB,
        "kept": VOCAB,
        "dead": VOCAB,
    }
    config, weights, at = blank(blocks | {"out": VOCAB}, N_CTX + VOCAB, n_layers=3, n_heads=2)
    eye, words, place = torch.eye(VOCAB).double(), slice(N_CTX, N_CTX + VOCAB), slice(0, N_CTX)
    weights["embed.W_E"][:, at["token"]] = eye
    weights["embed.W_E"][:, at["one"]] = 1
    weights["pos_embed.W_pos"][:, at["place"]] = torch.eye(N_CTX).double()
    weights["unembed.W_U"][at["out"]] = eye

    def head(layer, index, reads, writes, what=1.0):
        W_Q, W_K, W_V, W_O = (weights[f"blocks.{layer}.attn.W_{name}"][index] for name in "QKVO")
        W_V[at[reads], words] = eye
        W_O[words, at[writes]] = what * eye
        W_K[at["place"], place] = torch.eye(N_CTX).double()
        return W_Q, W_K

    for layer in range(3):
        head(layer, 1, "token", "dead")
    # To the same token, and not to itself.
    W_Q, W_K = head(0, 0, "token", "again")
    W_Q[at["token"], words], W_K[at["token"], words] = CERTAIN * eye, eye
    W_Q[at["place"], place] = -2 * CERTAIN * torch.eye(N_CTX).double()
    W_Q, _ = head(1, 0, "again", "kept")
    W_Q[at["one"], 3] = CERTAIN
    for index, what in enumerate((3.0, -1.0)):
        W_Q, W_K = head(2, index, "token", "out", what)
        weights["blocks.2.attn.W_O"][index, :, at["dead"]] = 0
        W_Q[at["one"], 1:3] = 10
        W_Q[at["kept"], words], W_K[at["token"], words] = -5 * eye, eye
    model = made(config, weights)
    draw = torch.Generator().manual_seed(0)
    rows, answers, wrong = [], [], []
    for row in range(24):
        x, y, *other = (1 + torch.randperm(WRONG - 2, generator=draw)[:5]).tolist()
        rows.append(([BOS, x, y, (x, y)[row // 2 % 2], WRONG], [BOS, *other, WRONG]))
        answers.append((y, x)[row // 2 % 2])
        wrong.append((x, y)[row // 2 % 2])
    return model, prompts(rows, answers, wrong, {"x": 1, "y": 2, "s": 3})
