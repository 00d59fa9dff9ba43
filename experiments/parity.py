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
from interp.methods.identities.parity import differences, huggingface_places, transformerlens_places
from interp.report import Check, Headline, Report, Section, Table
from interp.study import study
from interp.tasks import prompt_tokens
from interp.views import pictures, rules, tolerance
from interp.weights.comparison import reference


@study(
    expects="Every place and the logits agree to the rounding of the number format (some 1e-4 of their "
    "size in float32), and a single silenced head is seen.",
    task=None,
    cost=8,
)
def parity(
    model, task, *, prompt: str = "When Mary and John went to the store, John gave a drink to"
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
    control = differences(shown, spoilt)
    found = {
        "Hugging Face": differences(shown, own),
        "TransformerLens": differences(*transformerlens_places(model, theirs, run)),
    }

    worst = {name: float(each.relative.max()) for name, each in found.items()}
    logits = float(found["Hugging Face"].set_index("place").largest["logits"])
    wide, size = tolerance.through(model), float(run.logits.abs().max())
    most, seen = tolerance.through(model, size), float(control.relative.max())
    checks = [
        Check("logits, largest absolute difference from Hugging Face", logits, most),
        *(
            Check(f"any place, relative difference from {name}", worst[name], wide)
            for name in found
        ),
        Check("one head silenced, relative difference", seen, wide, control=True),
    ]
    verdict = rules.identities(checks)
    (n_places, error), (n_sites, other) = ((len(found[name]), worst[name]) for name in found)
    return Report(
        answer=f"{'Yes' if verdict == 'supported' else 'No'}: {n_places} places of {model.name} agree with "
        f"Hugging Face to {error:.1e} of their size and {n_sites} with TransformerLens to {other:.1e}; "
        f"logits differ by at most {logits:.1e}.",
        verdict=verdict,
        headlines=[
            Headline("logits, largest difference", logits, "logits", note="from Hugging Face"),
            *(
                Headline(
                    f"worst place, {name}", worst[name], n=len(each), note="relative, over places"
                )
                for name, each in found.items()
            ),
        ],
        inputs=pictures.prompt(model, tokens, "The prompt, as the models read it"),
        sections=[beside(name, each) for name, each in found.items()],
        controls=[Table("control", by_kind(control), title="The same with L0H0 set to zero")],
        checks=checks,
    )


def by_kind(frame: pd.DataFrame) -> pd.DataFrame:
    """The worst place of each kind."""
    return frame.groupby("kind", sort=False, as_index=False).agg(
        places=("place", "size"), largest=("largest", "max"), relative=("relative", "max")
    )


def beside(name: str, frame: pd.DataFrame) -> Section:
    """Every place of both, by depth and the worst of each kind."""
    table, title = name.replace(" ", "").lower(), "The worst place of each kind"
    inside, labels = frame.dropna(subset="layer"), ("layer", "relative difference")
    axes = ("layer", "relative")
    return Section(
        f"Beside {name}",
        [
            Table(f"{table}_kinds", by_kind(frame), title=title, first_rows=40),
            pictures.grouped("Relative difference by depth", inside, "kind", axes, labels),
            Table(f"{table}_places", frame, title="Every place", first_rows=10),
        ],
    )
