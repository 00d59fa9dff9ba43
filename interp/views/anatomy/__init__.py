"""A run walked through in order, as the sections of a page: of any model, and of any run of one prompt that
kept "all", edited or not."""

from interp.components import Head
from interp.report import Section
from interp.transformer import Run, Transformer
from interp.views.anatomy.attention import attention
from interp.views.anatomy.residual import isolated, mlp, norms, residual
from interp.views.anatomy.tokens import embedding, kept, most_likely, unembedding

__all__ = ["isolated", "kept", "most_likely", "sections"]


def sections(model: Transformer, run: Run, shown: Head, why: str = "as asked for") -> list[Section]:
    """From the tokens to the next one, close up in this head and its layer; `why` says why it is shown."""
    return [
        embedding(model, run),
        attention(model, run, shown, why),
        residual(model, run, shown),
        norms(model, run, shown.layer),
        mlp(model, run, shown.layer),
        unembedding(model, run),
    ]
