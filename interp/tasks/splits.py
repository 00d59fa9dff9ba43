"""Who may be measured on what was chosen where: clusters, halves and confirming prompts, decided here
for built-in tasks and files alike.

Prompts of one cluster are resampled together and never parted. The *screen* has a discovery half, on
which components are chosen, and a held-out half. What was chosen is then confirmed: for a built-in
task on fresh prompts of templates and with words that the screen has none of, for a file on its
held-out half.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import Any

from interp.errors import NotApplicable, UsageError
from interp.tasks.base import Part, Prompt, Task
from interp.tasks.examples import Half
from interp.tasks.pairs import enough
from interp.tasks.recipe import Pick, Recipe, Vocabulary, capacity, make

# With so many held-out clusters a file can confirm; with fewer there are estimates without interval.
LEAST_CONFIRMING = 8
# With fewer held-out clusters there is nothing to estimate from.
LEAST_ESTIMATED = 2
# Fewer different corrupted prompts than this have no mean that would differ from any one of them.
LEAST_POOL = 8
# So many corrupted prompts are drawn for the mean of each template of a built-in task.
POOL = 32
# Of a built-in task's templates so many confirm, and with so many prompts if nothing else is said.
CONFIRMING_TEMPLATES = 12
CONFIRM = 72
# Of so many words the two halves of the screen have enough with a quarter each.
_MANY = 16


@dataclass(frozen=True, slots=True)
class Share:
    """The templates, by number, and the words of one part."""

    templates: tuple[int, ...]
    words: Vocabulary


@dataclass(frozen=True)
class Dealt:
    """What each part of a built-in task is made of, and the lists too short to be dealt out."""

    parts: Mapping[Part, Share]
    shared: tuple[str, ...]


@dataclass(frozen=True)
class BuiltIn:
    """A built-in task for one tokenizer: what its prompts are made of, and by which seed.

    Raises  UsageError for no prompt to confirm with.
    """

    recipe: Recipe
    question: str
    bos: int | None
    seed: int
    confirm: int | None

    def __post_init__(self) -> None:
        if self.confirm is not None and self.confirm < 1:
            raise UsageError(f"expected at least 1 prompt to confirm with, got {self.confirm}")

    @cached_property
    def dealt(self) -> Dealt:
        """What each part is made of."""
        return deal(self.recipe, self.seed)

    def screen(self, n: int) -> Task:
        """n prompts, half of them of discovery templates and half of held-out ones.

        Raises  UsageError for more than there can be.
        """
        share = self.dealt.parts
        most = 2 * min(
            capacity(self.recipe, len(share[part].templates), share[part].words)
            for part in ("discovery", "held_out")
        )
        enough(self.recipe.task, n, most)
        at_once = self.recipe.at_once
        first = min(n, -(-n // (2 * at_once)) * at_once)
        return self._task([*self._made("discovery", first), *self._made("held_out", n - first)])

    def confirmation(self) -> Task:
        """Prompts that share no template with any screen, and no word where `shared` is silent: as
        many as were asked for, or else `CONFIRM` or all that there are.

        Raises  UsageError for more than there can be.
        """
        share = self.dealt.parts["confirmation"]
        most = capacity(self.recipe, len(share.templates), share.words)
        wanted = min(CONFIRM, most) if self.confirm is None else self.confirm
        enough(f"the confirmation of {self.recipe.task}", wanted, most)
        return self._task(self._made("confirmation", wanted))

    def draw(self, part: Part, template: int, turn: int, pick: Pick) -> list[Prompt]:
        """Prompts of this part's template, the variants in turn."""
        return _of_part(part, self.recipe.draw(template, turn % self.recipe.variants, pick))

    def pool_words(self, part: Part, prompts: Sequence[Prompt]) -> tuple[Vocabulary, bool]:
        """The words for corrupted prompts that are none of these, and whether they are those of all
        parts because the part's own do not make `POOL` of them."""
        of_template = Counter(prompt.template for prompt in prompts if prompt.part == part)
        wanted = POOL + 2 * max(of_template.values(), default=0)
        own = self.dealt.parts[part].words
        if self.recipe.corrupted(own) >= wanted:
            return own, False
        return {name: words.all for name, words in self.recipe.words.items()}, True

    def _made(self, part: Part, n: int) -> list[Prompt]:
        share = self.dealt.parts[part]
        random = Random(f"{self.recipe.task} {self.seed} {part}")
        found = make(self.recipe, share.templates, share.words, n, random) if n else []
        return _of_part(part, found)

    def _task(self, prompts: Sequence[Prompt]) -> Task:
        parts = dict.fromkeys(prompt.part for prompt in prompts)
        lent = any(self.pool_words(part, prompts)[1] for part in parts)
        shared = (
            *self.recipe.shared,
            *self.dealt.shared,
            *(["the words of the corrupted prompts over which means are taken"] if lent else []),
        )
        name = self.recipe.task
        return Task(name, self.question, tuple(prompts), self.bos, shared, source=self)


def _of_part(part: Part, prompts: Sequence[Prompt]) -> list[Prompt]:
    half: Half = "discovery" if part == "discovery" else "held_out"
    return [replace(prompt, part=part, half=half) for prompt in prompts]


def deal(recipe: Recipe, seed: int) -> Dealt:
    """Templates and words dealt to discovery, held-out half and confirmation by the seed alone: half
    of the templates, but at most `CONFIRMING_TEMPLATES`, and half of the words confirm, or a third of
    a short list."""
    random = Random(f"{recipe.task} {seed} split")
    templates = _templates(len(recipe.templates), random)
    words: dict[Part, dict[str, Sequence[Any]]] = {part: {} for part in templates}
    shared = []
    for name, each in recipe.words.items():
        if len(each.all) < 3 * each.least:
            shared.append(f"the {each.what} (this tokenizer has {len(each.all)} as single tokens)")
            for of_part in words.values():
                of_part[name] = each.all
            continue
        mixed = random.sample(list(each.all), len(each.all))
        few = max(each.least, len(mixed) // (4 if len(mixed) >= _MANY else 3))
        words["discovery"][name] = mixed[:few]
        words["held_out"][name] = mixed[few : 2 * few]
        words["confirmation"][name] = mixed[2 * few :]
    parts = {part: Share(tuple(templates[part]), words[part]) for part in templates}
    return Dealt(parts, tuple(shared))


def _templates(number: int, random: Random) -> dict[Part, list[int]]:
    """A task of one template, whose prompts chance makes, has it in all parts."""
    order = random.sample(range(number), number)
    if number == 1:
        return {"confirmation": order, "discovery": order, "held_out": order}
    late = min(CONFIRMING_TEMPLATES, number // 2)
    early = (number - late) // 2
    return {
        "confirmation": order[:late],
        "discovery": order[late : late + early],
        "held_out": order[late + early : late + 2 * early],
    }


def confirmation(task: Task) -> Task:
    """The prompts on which what was chosen on the task's discovery half is confirmed.

    Raises  NotApplicable, with the reason and the way out, if there are too few.
    """
    if any(prompt.part == "confirmation" for prompt in task.prompts):
        raise NotApplicable(f"these prompts of {task.name} are the confirming ones themselves")
    if task.source is not None:
        found = task.source.confirmation()
        return found.corrupted_by(task.corruption) if task.corruption else found
    held_out = task.where(half="held_out")
    apart = len(set(task.clusters[held_out]))
    if apart < LEAST_ESTIMATED or held_out.all():
        raise NotApplicable(_too_few(task))
    return task.only(held_out)


def fresh_confirmation(task: Task) -> Task | None:
    """The confirming prompts that the screen does not have: none for a file, which confirms on its
    own, and none for prompts that are the confirming ones."""
    if task.source is None or any(prompt.part == "confirmation" for prompt in task.prompts):
        return None
    return task.confirmation


def left_out(task: Task) -> Task | None:
    """Prompts of those of the screen's templates for which it asks for too few prompts, or None if it
    has all: what the model can do is judged on every template."""
    source, prompts = task.source, task.whole or task.prompts
    if source is None or any(prompt.part == "confirmation" for prompt in prompts):
        return None
    there = {prompt.template for prompt in prompts}
    shares = [source.dealt.parts[part] for part in ("discovery", "held_out")]
    templates = max(len(share.templates) for share in shares)
    whole = source.screen(2 * templates * source.recipe.at_once)
    missing = [prompt for prompt in whole.prompts if prompt.template not in there]
    if not missing:
        return None
    found = replace(whole, prompts=tuple(missing))
    return found.corrupted_by(task.corruption) if task.corruption else found


def of_file(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """The prompts of a file with their clusters and halves."""
    return halved(clustered(prompts))


def clustered(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """The prompts with those in one cluster that were in one before (a template), that have the same
    clean tokens, or of which one's clean tokens are the other's corrupted ones."""
    root = list(range(len(prompts)))

    def find(index: int) -> int:
        while root[index] != index:
            root[index] = root[root[index]]
            index = root[index]
        return index

    def join(first: int, second: int) -> None:
        one, other = sorted((find(first), find(second)))
        root[other] = one

    named, clean = dict[Hashable, int](), dict[Hashable, int]()
    for index, prompt in enumerate(prompts):
        join(index, named.setdefault(prompt.cluster, index))
        if prompt.kept:
            join(index, clean.setdefault(prompt.clean_tokens, index))
    for index, prompt in enumerate(prompts):
        if prompt.kept and prompt.corrupted_tokens in clean:
            join(index, clean[prompt.corrupted_tokens])
    return tuple(
        replace(prompt, cluster=prompts[find(index)].cluster)
        for index, prompt in enumerate(prompts)
    )


def halved(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """The prompts with whole clusters dealt to the two halves in turn, those of one order after those
    of another: both halves have clusters wherever there are two, and neither is of one order
    alone where an order has two."""
    by_order: dict[str, dict[str, None]] = {}
    known = set[str]()
    for prompt in prompts:
        if prompt.kept and prompt.cluster not in known:
            known.add(prompt.cluster)
            by_order.setdefault(prompt.order, {})[prompt.cluster] = None
    in_turn = [cluster for clusters in by_order.values() for cluster in clusters]
    late = set(in_turn[1::2])
    return tuple(
        replace(prompt, half="held_out" if prompt.cluster in late else "discovery")
        for prompt in prompts
    )


def _too_few(task: Task) -> str:
    clusters = len(set(task.clusters))
    templates = Counter(prompt.template for prompt in task.kept)
    different = len({prompt.clean_tokens for prompt in task.kept})
    if not task.n:
        cause = f"none of the {len(task.prompts)} prompts of {task.name} is fit to run"
    elif different == 1:
        cause = f"the prompts of {task.name} are one prompt, which is there {task.n} times"
        cause = cause if task.n > 1 else f"{task.name} has one prompt"
    elif clusters == 1 and len(templates) == 1 and "" not in templates:
        cause = f"the {task.n} prompts of {task.name} are of one template, {next(iter(templates))!r:.60}"
    elif clusters == 1:
        cause = (
            f"the {task.n} prompts of {task.name} hang together as one, by a template, by the same "
            "clean prompt, or because one's clean prompt is another's corrupted one"
        )
    else:
        cause = (
            f"the {task.n} prompts of {task.name} are of {clusters} templates or separate prompts, of "
            f"which fewer than {LEAST_ESTIMATED} are left to confirm on"
        )
    return (
        f"{cause}; components are chosen on some templates and confirmed on others: give the file a "
        f"column `template` with at least {2 * LEAST_ESTIMATED} values, better "
        f"{2 * LEAST_CONFIRMING} or more, or further prompts"
    )
