"""Does the clean transformer compute what the reference computes?

Method  The same prompts through the clean transformer, Hugging Face's own model with eager attention,
        and TransformerLens. Every place that both sides show is compared: hidden states, attentions
        and logits with Hugging Face, every site of the same name with TransformerLens. As a control
        one head is set to zero, and the comparison must see it.
Units   Largest absolute difference, and the same over the reference's largest absolute value.
Source  Hugging Face transformers; TransformerLens, TransformerBridge.
Limits  The prompts below, in the dtype of the run. Both references stand on the same weights files, so
        a wrong file would not show.
"""

import pandas as pd

from interp import edits, sites
from interp.errors import NotApplicable, UsageError
from interp.methods.parity import differences, huggingface_places, transformerlens_places
from interp.report import Chart, Check, Headline, Report, Section, Series, Table, Text, TokenStrip
from interp.study import study
from interp.tasks import prompt_tokens
from interp.views import tolerance
from interp.weights.comparison import reference


@study(
    expects="Every place and the logits agree to the rounding of the number format (some 1e-4 of their "
    "size in float32), and a single silenced head is seen.",
    task=None,
    cost=8,
)
def parity(
    model,
    task,
    *,
    prompt: str = "When Mary and John went to the store, John gave a drink to",
) -> Report:
    tokens = prompt_tokens(model, prompt)
    run = model.run(tokens, keep="all")
    try:
        theirs = reference(model)
    except UsageError as error:
        raise NotApplicable(str(error)) from None
    shown, own = huggingface_places(model, theirs, run)
    silenced = model.run(tokens, edits=[edits.zero(sites.z(0), heads=0)], keep="all")
    _, spoilt = huggingface_places(model, theirs, silenced)
    huggingface, control = differences(shown, own), differences(shown, spoilt)
    transformerlens = differences(*transformerlens_places(model, theirs, run))

    wide = tolerance.through(model)
    logits = float(huggingface.set_index("place").largest["logits"])
    worst = {
        "Hugging Face": huggingface.relative.max(),
        "TransformerLens": transformerlens.relative.max(),
    }
    checks = [
        Check(
            "logits, largest absolute difference from Hugging Face",
            logits,
            tolerance.through(model, float(run.logits.abs().max())),
        ),
        *(
            Check(f"any place, relative difference from {name}", value, wide)
            for name, value in worst.items()
        ),
        Check(
            "one head silenced, relative difference",
            float(control.relative.max()),
            wide,
            control=True,
        ),
    ]
    holds = all(check.passed for check in checks)
    return Report(
        answer=f"{'Yes' if holds else 'No'}: {len(huggingface)} places of {model.name} agree with Hugging "
        f"Face to {worst['Hugging Face']:.1e} of their size and {len(transformerlens)} with "
        f"TransformerLens to {worst['TransformerLens']:.1e}; logits differ by at most {logits:.1e}.",
        verdict="supported" if holds else "not supported",
        headlines=[
            Headline("logits, largest difference", logits, "logits", note="from Hugging Face"),
            Headline(
                "worst place, Hugging Face",
                float(worst["Hugging Face"]),
                n=len(huggingface),
                note="relative, over places",
            ),
            Headline(
                "worst place, TransformerLens",
                float(worst["TransformerLens"]),
                n=len(transformerlens),
                note="relative, over places",
            ),
        ],
        inputs=[
            TokenStrip(model.to_str_tokens(tokens), title="The prompt, as the models read it"),
            Text(model.bos.sentence),
        ],
        sections=[
            _section("Hugging Face", "huggingface", huggingface),
            _section("TransformerLens", "transformerlens", transformerlens),
        ],
        controls=[Table("control", _by_kind(control), title="The same with L0H0 set to zero")],
        checks=checks,
    )


def _by_kind(frame: pd.DataFrame) -> pd.DataFrame:
    """The worst place of each kind."""
    return frame.groupby("kind", sort=False, as_index=False).agg(
        places=("place", "size"), largest=("largest", "max"), relative=("relative", "max")
    )


def _section(name: str, table: str, frame: pd.DataFrame) -> Section:
    inside = frame.dropna(subset="layer")
    kinds = inside.groupby("kind", sort=False)
    return Section(
        f"Beside {name}",
        [
            Table(
                f"{table}_kinds",
                _by_kind(frame),
                title="The worst place of each kind",
                first_rows=40,
            ),
            Chart(
                "Relative difference by depth",
                "line",
                [
                    Series(str(kind), rows.layer.tolist(), rows.relative.tolist())
                    for kind, rows in kinds
                ],
                "layer",
                "relative difference",
            ),
            Table(f"{table}_places", frame, title="Every place", first_rows=10),
        ],
    )
