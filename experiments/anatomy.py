"""What happens inside the model between a prompt and its next word?

Method  One forward pass on one prompt, every intermediate kept, walked through in order. Each step
        is computed again from the tensors that the step before shows, and compared with what the
        model has. At the end one token is changed, first freely, then with every attn_out frozen to
        the run before the change.
Units   As in the model: attention in shares of 1, streams in the model's own units.
Source  Vaswani et al. 2017, arXiv:1706.03762; Elhage et al. 2021, A Mathematical Framework for
        Transformer Circuits.
Limits  One prompt and, for the close view of attention, one head: a picture of how the model
        computes, not of what it computes in general.
"""

import torch

from interp.components import Head
from interp.methods.identities.isolation import isolation
from interp.methods.identities.steps import recomputed
from interp.report import Check, Headline, NotRun, Report
from interp.study import AnyHead, AnyLayer, study
from interp.tasks import prompt_tokens
from interp.views import anatomy as page
from interp.views import pictures, tolerance


@study(
    expects="Every step follows from the one before, and with attention frozen a changed token moves "
    "no other position.",
    task=None,
    cost=2,
)
def anatomy(
    model,
    task,
    *,
    prompt: str = "When Mary and John went to the store, John gave a drink to",
    layer: AnyLayer = -1,
    head: AnyHead = -1,
) -> Report:
    tokens = prompt_tokens(model, prompt)
    run = model.run(tokens, keep="all")
    steps, wide = recomputed(model, run), tolerance.step(model)
    checks = [Check(name, error, wide) for name, error in steps.items()]
    (best,) = page.most_likely(model, run, 1).itertuples()
    headlines = [
        Headline("most likely next token", best.token, note=f"probability {best.probability:.3f}"),
        Headline("largest error of a recomputed step", max(steps.values()), note="relative"),
    ]
    shown, why = clearest(run.cache, layer, head)
    sections = page.sections(model, run, shown, why)
    n, not_run, verdict = tokens.shape[1], [], "inconclusive"
    if n > 1:
        # Not the last one: a causal model moves nothing to the left of it.
        changed = isolation(model, tokens, min(n // 2, n - 2))
        sections.append(page.isolated(model, run, changed))
        other, leak, moved = "change at other positions", changed.leak, changed.moved
        checks.append(Check(f"{other}, attention frozen", leak, wide))
        checks.append(Check(f"{other}, attention free", moved, wide, control=True))
        note = f"free: {moved:.2g}, relative"
        headlines.append(Headline("other positions move, attention frozen", leak, note=note))
        verdict = "supported" if checks[-1].passed else "inconclusive"
    else:
        reason = "the prompt has one token, and no other position that anything could move to"
        not_run.append(NotRun("change at other positions", reason))
    if not all(check.passed or check.control for check in checks):
        verdict = "not supported"
    n_layers = model.config.n_layers
    return Report(
        answer=f"{model.name} turns {n} tokens into {n_layers} round{'s' if n_layers != 1 else ''} of "
        f"“attend, then think” over one stream per position, and reads {best.token!r} from the last one "
        f"with probability {best.probability:.2f}; only attention moves information between positions.",
        verdict=verdict,
        headlines=headlines,
        inputs=pictures.prompt(model, tokens),
        sections=[*sections, page.kept(run)],
        checks=checks,
        not_run=not_run,
    )


def clearest(cache, layer: int, head: int) -> tuple[Head, str]:
    """The head that attends most, from the last token, to one that is neither first nor last, of this
    layer and this number, of any where they are below 0; and why it is this one."""
    pattern = cache.stack("pattern")[:, 0, :, -1]
    inner = pattern[..., 1:-1] if pattern.shape[-1] > 2 else pattern
    most = inner.amax(-1)
    allowed = torch.ones_like(most, dtype=torch.bool)
    if layer >= 0:
        allowed &= torch.arange(len(most), device=most.device)[:, None] == layer
    if head >= 0:
        allowed &= torch.arange(most.shape[1], device=most.device) == head
    best = Head(*divmod(int(most.masked_fill(~allowed, -1).argmax()), most.shape[1]))
    if min(layer, head) >= 0:
        return best, "as asked for"
    among = (
        f"of layer {layer} " if layer >= 0 else f"of those numbered {head} " if head >= 0 else ""
    )
    return best, f"the head {among}that, from the last token, attends most to one earlier word"
