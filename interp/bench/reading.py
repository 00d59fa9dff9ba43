"""Rows of the benchmark for what one forward pass tells: attribution of every head, and the lens."""

from collections.abc import Callable

import torch
from torch import Tensor

from interp.bench.rows import Row
from interp.bench.subject import Subject
from interp.bench.timing import interleaved, peak_memory
from interp.methods import attribute
from interp.methods.lens import entries, lens
from interp.methods.rescaling import without
from interp.tasks.batches import PromptBatch


def attribute_heads(subject: Subject, n_prompts: int) -> list[Row]:
    """Direct effects of every head at END, beside TransformerLens's `stack_head_results` and `logit_attrs`
    from a kept run, which leave the final norm's weight out; ours without it are checked to be the same."""
    some = subject.of(n_prompts)
    prompts = _prompts(some)
    run = prompts.run(some.ours, keep=attribute.wanted(some.ours))
    with torch.no_grad():
        _, cache = some.transformerlens.run_with_cache(some.clean)

    @torch.no_grad()
    def ours() -> Tensor:
        return attribute.attribute(some.ours, run, prompts).of("head")

    @torch.no_grad()
    def theirs() -> Tensor:
        # What an earlier turn left in the cache would make this one a look-up.
        for name in [name for name in cache.cache_dict if name.endswith("hook_result")]:
            del cache.cache_dict[name]
        stacked = cache.stack_head_results(layer=-1, pos_slice=-1)
        found: Tensor = cache.logit_attrs(
            stacked,
            tokens=prompts.answer,
            incorrect_tokens=prompts.distractor,
            pos_slice=-1,
            has_batch_dim=True,
        )
        return found

    alike = without(some.ours, run, prompts, "its weight").of("head")
    peer = "TransformerLens, stacked heads (ours: MLPs and biases too)"
    return [_row("attribute_heads", n_prompts, ours, theirs, alike, peer)]


def logit_lens(subject: Subject, n_prompts: int) -> list[Row]:
    """Rank and log-probability of the answer, KL and entropy at every layer and position, beside the
    loop that everybody writes: the whole stack of log-probabilities, then each of the four."""
    some = subject.of(n_prompts)
    prompts = _prompts(some)
    model = some.ours
    run = prompts.run(model, keep=entries(model))

    @torch.no_grad()
    def ours() -> Tensor:
        return lens(model, run, prompts.answer[None]).log_prob[0]

    @torch.no_grad()
    def theirs() -> Tensor:
        streams = [run.cache[site] for site in entries(model)]
        norm, answers = some.huggingface.model.norm, prompts.answer[:, None, None]
        logits = torch.stack([some.huggingface.lm_head(norm(stream)) for stream in streams])
        log_probs = logits.log_softmax(-1)
        index = answers.expand(len(streams), *answers.shape[:1], run.tokens.shape[1], 1)
        answer = log_probs.gather(-1, index)
        (log_probs > answer).sum(-1)
        (log_probs[-1].exp() * (log_probs[-1] - log_probs)).sum(-1)
        (log_probs.exp() * log_probs).sum(-1)
        return answer[..., 0]

    peer = "the whole stack, by Hugging Face's modules"
    return [_row("logit_lens", n_prompts, ours, theirs, ours(), peer)]


def _row(
    name: str,
    n_prompts: int,
    ours: Callable[[], Tensor],
    theirs: Callable[[], Tensor],
    alike: Tensor,
    peer: str,
) -> Row:
    """Both timed in turn, with the memory that either takes, and how far the peer's values lie from
    those that ought to be `alike`."""
    with peak_memory() as memory:
        ours()
    with peak_memory() as peer_memory:
        found = theirs()
    apart = float((found - alike).abs().max())
    took = interleaved({"ours": ours, "theirs": theirs}, 3)
    note = (
        f"peer takes {peer_memory.bytes / 2**20:.0f} MB; largest difference of a value {apart:.1e}"
    )
    return Row.of(name, n_prompts, took["ours"], peer, took["theirs"], memory.bytes, note)


def _prompts(some: Subject) -> PromptBatch:
    return PromptBatch.of_tokens(some.clean, some.corrupted, some.metric.answer, some.metric.wrong)


ROWS: dict[str, Callable[[Subject, int], list[Row]]] = {
    "attribute_heads": attribute_heads,
    "logit_lens": logit_lens,
}
