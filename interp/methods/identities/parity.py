"""The clean transformer beside a reference, place by place.

Method  The same tokens through both; every place that both name is compared. Hugging Face shows its
        hidden states, attentions and logits; TransformerLens nearly every site.
Units   `largest` is the largest absolute difference, `relative` the same over the reference's largest
        absolute value. Masked scores are left out.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from interp import sites
from interp.transformer import Run, Transformer

Places = tuple[dict[str, Tensor], dict[str, Tensor]]


@torch.no_grad()
def huggingface_places(model: Transformer, theirs: Any, run: Run) -> Places:
    """What Hugging Face's model shows on the run's tokens, and the same places of the run, by name."""
    out = theirs(run.tokens, output_hidden_states=True, output_attentions=True)
    last = model.config.n_layers - 1
    normed = model.ln_final(run.cache[sites.resid_post(last)])
    shown: dict[str, Tensor] = {"logits": out.logits, "final norm": out.hidden_states[-1]}
    own: dict[str, Tensor] = {"logits": run.logits, "final norm": normed}
    for layer in range(last + 1):
        stream, pattern = sites.resid_pre(layer), sites.pattern(layer)
        shown[stream.name], own[stream.name] = out.hidden_states[layer], run.cache[stream]
        shown[pattern.name], own[pattern.name] = out.attentions[layer], run.cache[pattern]
    return shown, own


def transformerlens_places(model: Transformer, theirs: Any, run: Run) -> Places:
    """What TransformerLens caches on the run's tokens and the run kept too, and the run's own. `theirs` is
    Hugging Face's model of the same weights, which TransformerLens wraps."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transformer_lens.model_bridge import TransformerBridge

        bridge = TransformerBridge.boot_transformers(
            f"local/{model.name}",
            hf_model=theirs,
            tokenizer=model.tokenizer,
            device=str(model.device),
        )
        with torch.no_grad():
            _, cached = bridge.run_with_cache(run.tokens)
    shown = {site.name: cached[site.name] for site in run.cache if site.name in cached}
    return shown, {name: run.cache[name] for name in shown}


def differences(shown: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> pd.DataFrame:
    """One row a place: its kind and layer, the largest absolute and the relative difference."""
    rows = []
    for name, reference in shown.items():
        site = None if name in ("logits", "final norm") else sites.parse(name)
        kind, layer = (site.kind, site.layer) if site else (name, None)
        seen = reference.isfinite() & own[name].isfinite()
        if kind == "scores":
            # Where later keys are masked one side writes −inf and the other its lowest number.
            seen &= (reference > torch.finfo(reference.dtype).min / 2) & own[name].isfinite()
        largest = float((reference - own[name])[seen].abs().max())
        size = float(reference[seen].abs().max())
        rows.append([kind, layer, name, largest, largest / size if size else largest])
    frame = pd.DataFrame(rows, columns=["kind", "layer", "place", "largest", "relative"])
    return frame.astype({"layer": "Int64"})
