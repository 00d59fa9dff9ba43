"""What does a sentence-pair classifier decide, and which tokens and heads carry the decision?

Method  The decision is the log-odds of one label, whose sigmoid is the score. Tokens: each one masked,
        or taken out, by itself. Heads: z, the head's slice of what the attention output projection
        reads, is replaced at all tokens by zeros or by its mean over the pairs. Along the skip
        connections, with every norm's scale frozen, the last vector of the token that is read is a sum of
        what embeddings, heads, MLPs and biases write; one of them taken out of that vector, and what
        follows (pooler, classifier) run as it is, is its direct effect. In a DeBERTa the scores before
        softmax are split into content→content, content→position and position→content, each divided by
        √(3·d_head), and one term is taken out of every layer. Heads are chosen on every other premise
        and measured on those between: among random sets of heads of the same layers, and beside moves
        of equal norm in random directions and along differences of unrelated pairs. With fewer than
        16 premises there is neither interval nor verdict.
Units   Log-odds of the label, changed minus unchanged. Negative: the label has less without it. A
        regression gives a number and no probability: there, log-odds and score are that number.
        Scores are those of Hugging Face's pipeline: softmax over labels, sigmoid of one label or of
        labels that do not exclude each other, or the number. Intervals over clusters of
        pairs that share a premise or a hypothesis, since those are no independent evidence.
Source  He et al. 2021, DeBERTa, arXiv:2006.03654. The built-in pairs and their published scores are
        those of the first release of Vectara's hallucination evaluation model (HHEM 1.0).
Limits  One token and one head at a time: heads that stand in for each other seem unimportant. A masked or
        missing token makes a text that the model was not trained on. Few pairs say little of others.
"""

import shlex

from interp.classifiers.classifier import Absent
from interp.classifiers.opened import Opened
from interp.classifiers.packaged import HHEM, SHORT_NAMES, parted
from interp.classifiers.pairs import Pairs
from interp.classifiers.pairs import pairs as read_pairs
from interp.report import Check, NotRun, Report
from interp.study import Count, progress, study
from interp.views.pairs import every, scored

PUBLISHED = "the published scores of HHEM 1.0"


@study(
    expects="The heads that move the decision most on the pairs of other premises move it on new "
    "premises too, the same way, more than random heads of their layers and than moves of equal norm "
    "in other directions.",
    task=None,
    cost=60,
    default=False,
    model="classifier",
)
def pair_scoring(
    model,
    task,
    *,
    classifier: str = "vectara/hallucination_evaluation_model@hhem-1.0-open",
    label: str = "",
    pairs: str | None = None,
    explain: Count = 8,
    top: Count = 5,
    remote_code: bool = False,
    seed: int = 0,
) -> Report:
    if isinstance(model, Absent):
        return absent(model)
    listed = read_pairs(pairs)
    readings = [model.read(pair) for pair in listed]
    decisions = model.decisions(progress(readings, "scoring pairs"))
    found, not_run = every(Opened(model, listed[:explain], progress, seed), top)
    checks, unknown = published(model, listed, decisions)
    target, scores = model.labels[model.label], model.scores(decisions)
    return Report(
        answer=f"{model.name} gives {target!r} from {scores.min():.3f} to {scores.max():.3f} on "
        f"{len(listed)} pairs. " + " ".join(each.said for each in found),
        verdict=next((each.verdict for each in found if each.verdict), "not run"),
        headlines=[headline for each in found for headline in each.headlines],
        inputs=[scored(model, Pairs.of(listed), decisions)],
        sections=[each.section for each in found],
        controls=[block for each in found for block in each.controls],
        checks=[*checks, *(check for each in found for check in each.checks)],
        not_run=[*not_run, *unknown],
    )


def absent(model) -> Report:
    name, revision = parted(model.name)
    fetch = shlex.join(["hf", "download", name, *(["--revision", revision] if revision else [])])
    return Report(
        answer=f"Nothing was scored: {name} is neither on this machine nor to be fetched now. Fetch it "
        f"with `{fetch}`, or name another classifier: "
        f"--classifier {next(iter(SHORT_NAMES))}, or --classifier FOLDER.",
        verdict="not run",
        sections=[],
        not_run=[NotRun(PUBLISHED, "model not available offline")],
        warnings=[model.reason],
    )


def published(model, listed, decisions) -> tuple[list[Check], list[NotRun]]:
    """HHEM 1.0 beside its published scores; of another classifier there is nothing to check."""
    known = [number for number, pair in enumerate(listed) if pair.published is not None]
    if model.name != HHEM or not known:
        reason = f"the pairs were scored by another classifier, {model.name}"
        return [], [NotRun(PUBLISHED, reason if known else "these pairs have none")]
    differences = model.scores(decisions[known]) - [listed[number].published for number in known]
    return [Check(f"{PUBLISHED}, largest difference", abs(differences).max(), 1e-3)], []
