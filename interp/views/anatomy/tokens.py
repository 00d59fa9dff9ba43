"""From text to the residual stream's start, from its end to the next token, and all that a run keeps."""

import pandas as pd

from interp import sites
from interp.report import Chart, Section, Series, Table, Text, TokenStrip
from interp.transformer import Run, Transformer
from interp.views.pictures import statistics

_SHOWN = 10


def embedding(model: Transformer, run: Run) -> Section:
    """Tokens, their embedding, and how their positions are told."""
    config, labels = model.config, model.to_str_tokens(run.tokens)
    positions = {
        "learned": "A learned vector of the position is added to it.",
        "rotary": "No position is added: queries and keys are rotated by an angle that grows with "
        f"their position, in {config.rotary_dim} of a head's {config.d_head} dimensions.",
        "none": "Nothing says where a token stands but the causal mask.",
    }[config.positions]
    named = {"W_E": model.embed.W_E, "embedding": run.cache[sites.embed()]}
    if config.positions == "learned":
        named["position"] = run.cache[sites.pos_embed()]
    frame = pd.DataFrame(
        {"position": range(len(labels)), "token": labels, "id": run.tokens[0].tolist()}
    )
    return Section(
        "Tokens and embedding",
        [
            Text(
                f"The tokenizer cuts the text into {len(labels)} of {config.d_vocab:,} known pieces. "
                f"Each becomes its row of `W_E`, a vector of d_model = {config.d_model} numbers: the "
                f"start of that position's residual stream. {positions}"
            ),
            Table("tokens", frame, first_rows=len(labels)),
            statistics("embedding", named),
        ],
    )


def kept(run: Run) -> Section:
    """Every site that the run kept of no layer or the first, with what is there."""
    every = {sites.parse(key): each for key, each in run.cache.items()}
    first = {site.name: each for site, each in every.items() if site.layer in (None, 0)}
    return Section(
        "Every place that can be read and edited",
        [statistics("sites", first, first_rows=len(first))],
        intro="The names are TransformerLens's; layers above 0 have the same places.",
    )


def most_likely(model: Transformer, run: Run, most: int = _SHOWN) -> pd.DataFrame:
    """token, id, probability: the most likely tokens after the last one."""
    probabilities = run.logits[0, -1].float().softmax(-1)
    top = probabilities.topk(min(most, len(probabilities)))
    ids = top.indices.tolist()
    names = [model.to_single_str_token(each) for each in ids]
    return pd.DataFrame({"token": names, "id": ids, "probability": top.values.tolist()})


def unembedding(model: Transformer, run: Run) -> Section:
    """The next tokens, and how probable each token of the prompt was."""
    probabilities, top = run.logits[0].float().softmax(-1), most_likely(model, run)
    actual = probabilities[:-1].gather(-1, run.tokens[0, 1:, None].cpu())[:, 0]
    source = "`W_E` used backwards" if model.config.tied else "a matrix of its own, `W_U`"
    bars = [Series("probability", top.token.tolist(), top.probability.tolist())]
    return Section(
        "Unembedding: from the residual stream to the next word",
        [
            Text(
                f"After a last norm the residual stream is compared with one direction per token ({source}); "
                "a softmax turns the logits into probabilities. Every position predicts its next token."
            ),
            Chart("The most likely next tokens", "bar", bars, "token", "probability"),
            TokenStrip(
                model.to_str_tokens(run.tokens),
                [float("nan"), *actual.tolist()],
                scale="sequential",
                title="How probable each token was, given those before it",
            ),
            Table("next_tokens", top),
        ],
    )
