"""Does the model go on with a repeated sequence of random tokens as it went before?

BOS, random tokens, the same tokens again but for the last: the answer is that last token. In the
corrupted prompt the first copy is of other tokens, so nothing says how the second goes on. The
wrong answer is another token of the sequence. Prompts are token ids from the start: random tokens
written as text would not be tokenized back into themselves.

Source  Olsson et al. 2022, In-context Learning and Induction Heads, arXiv:2209.11895.
"""

from functools import partial

from interp.errors import UsageError
from interp.tasks.base import Prompt
from interp.tasks.pairs import MOST
from interp.tasks.reader import Reader
from interp.tasks.recipe import Pick, Recipe, Words

LENGTH = 16


def recipe(reader: Reader) -> Recipe:
    """Sequences of `LENGTH` tokens, no two tokens of a sequence the same."""
    usual = sorted(set(range(reader.size)) - reader.special)
    if len(usual) < 2 * LENGTH:
        raise UsageError(
            f"induction needs {2 * LENGTH} tokens that are not special; this tokenizer has "
            f"{len(usual)}"
        )
    return Recipe(
        "induction",
        ("repeat",),
        1,
        {"token": Words("tokens", usual, 2 * LENGTH)},
        partial(_draw, reader),
        different=lambda words: MOST,
        corrupted=lambda words: MOST,
    )


def _draw(reader: Reader, template: int, variant: int, pick: Pick) -> list[Prompt]:
    drawn = pick.random.sample(pick.words["token"], 2 * LENGTH)
    sequence, other = drawn[:LENGTH], drawn[LENGTH:]
    shown, answer = sequence[:-1], sequence[-1]
    # Not the token at END: no model would repeat that one.
    wrong = pick.random.choice(sequence[:-2])
    clean, corrupted = [*sequence, *shown], [*other, *shown]
    clean_tokens = reader.begin(clean)
    end = len(clean_tokens) - 1
    return [
        Prompt(
            clean=reader.text(clean),
            corrupted=reader.text(corrupted),
            answer=reader.text([answer]),
            wrong=reader.text([wrong]),
            clean_tokens=clean_tokens,
            corrupted_tokens=reader.begin(corrupted),
            answer_token=answer,
            wrong_token=wrong,
            template="repeat",
            # By what chance decided, since all share the template.
            cluster=" ".join(map(str, sequence)),
            positions={"earlier": end - LENGTH, "earlier+1": end - LENGTH + 1, "END": end},
            fillers=frozenset(map(str, drawn)),
        )
    ]
