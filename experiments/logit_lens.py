"""At which layer does the model know the answer?

Method  The residual stream that each layer receives, and the last one, are read as if they were the last:
        final norm, with the stream's own statistics, and unembedding. Shown for every layer and position
        of one prompt, and over all prompts at the last token, beside the wrong answer and a token drawn
        at random for each prompt as control. The verdict is about layers named beforehand, so nothing is
        chosen: it is estimated on the task's fresh prompts.
Units   Nats; rank 1 is the most likely token. KL is from the model's own next-token distribution to the
        lensed one. Layer l is the stream after l layers: 0 is the embedding, the last the model itself.
Source  nostalgebraist 2020, Interpreting GPT: the logit lens.
Limits  The lens reads early layers as if they were the last: what it does not show may be there in another
        form. With tied embeddings early streams tend to echo the token they started from.
"""

import torch

from interp.methods.lens import by_layer, entries, first_kept, gains, lens, of_prompt
from interp.report import Check, Headline, NotRun, Report, Section, TokenStrip
from interp.study import Example, study
from interp.tasks.batches import whole
from interp.views import lens as shown
from interp.views import rules, tolerance


@study(
    expects="The last entry is the model's own output, and the answer rises above the wrong answer more "
    "over the last third of the layers than over the first two.",
    task="ioi",
    also="induction",
    cost=5,
)
def logit_lens(model, task, *, seed: int = 0, example: Example = 0) -> Report:
    prompts, fresh = whole(task, model.device), task.confirmation
    generator = torch.Generator().manual_seed(seed)
    random = torch.randint(model.config.d_vocab_out, (task.n,), generator=generator)
    run = prompts.run(model, keep=entries(model))
    tokens = torch.stack([prompts.answer, prompts.distractor, random.to(prompts.answer)])
    seen = lens(model, run, tokens)
    table, found = by_layer(seen, prompts, task, seed), gains(model, fresh, seed)
    first_best, first = first_kept(table["answer_top"]), run.tokens[example][run.real[example]]
    words = model.to_str_tokens(first)
    title = f"Prompt {example}; its answer is {task.kept[example].answer!r}"

    wide = tolerance.step(model, float(run.logits.abs().max()))
    own_kl = float(seen.kl[-1][run.real].abs().max())
    checks = [
        Check("the last entry against the model's logits, largest difference", seen.error, wide),
        Check("the last entry's KL to the model, largest", own_kl, wide),
    ]
    verdict = rules.against(0.0, found.more) if found else "inconclusive"
    return Report(
        answer=answer(model, task, first_best, found),
        verdict=verdict if all(check.passed for check in checks) else "not supported",
        headlines=[
            *(shown.headlines(found) if found else []),
            Headline(
                "answer most likely from layer", first_best, note="on most prompts, to the end"
            ),
        ],
        inputs=[TokenStrip(words, title=title)],
        sections=[
            Section("Over all prompts, at the last token", shown.overall(table)),
            Section(
                "One prompt, every layer and position",
                shown.one_prompt(model, seen, example, words),
            ),
            Section("The echo of the input", shown.echo(model, seen, run)),
        ],
        controls=[*([shown.rule(found, fresh)] if found else []), shown.random_token(table)],
        checks=checks,
        not_run=[] if found else [NotRun("gained over the last third", shown.few_layers(model))],
        files={
            "lens": of_prompt(model, task, first, seen, example),
            **({"confirmation_prompts": fresh.frame()} if found else {}),
        },
    )


def answer(model, task, first_best: str, found) -> str:
    known = (
        f"the answer is the most likely token on most prompts from layer {first_best} on"
        if first_best != "never"
        else "the answer is never the most likely token on most prompts"
    )
    said = f"In {model.name} on {task.n} {task.name} prompts {known}"
    if found is None:
        return f"{said}; {shown.few_layers(model)}."
    return (
        f"{said}; on {task.confirmation.n} held-out ones it rises above the wrong answer by "
        f"{float(found.late.value):+.2f} logits over the last third of the layers, "
        f"{float(found.early.value):+.2f} before."
    )
