"""Which token stands before a prompt: decided here, and nowhere else.

`auto` is what the model was trained with, as far as its files say. The first row that fits decides:

1. The tokenizer puts a token before every text: that one. A text was not read without it in training.
   (Llama 1 to 3, Mistral, Gemma, OPT)
2. No BOS is named: none. Nothing says what stood before a text. (Qwen2, Qwen3, OLMo)
3. `add_bos_token` is true: the BOS named. (As 1, where a conversion of the tokenizer lost the rest.)
4. The BOS named is also the EOS, or is `<|endoftext|>`: that one. It ends a document and begins the
   next, so that all but the first were read after it. (GPT-2, Pythia, SmolLM2's base model, our own)
5. The BOS named is `<|im_start|>`, and there is an `<|endoftext|>`: the latter. The former begins a
   turn of a chat, and documents stood after the latter. (SmolLM2-Instruct)
6. A BOS is named, and nobody puts it: none. One that the model never read takes its answers away.
   (Llama kinds with `add_bos_token` false, models of digits with a `<s>` that is not used)

`add_bos_token` false decides nothing beyond this: it says that the tokenizer puts none, as GPT-2's
does not either. `yes` puts what the tokenizer itself puts, or else `<|endoftext|>`, the BOS or the EOS,
the first that there is; `no` puts none.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from interp import ordinary
from interp.errors import UsageError
from interp.tokenizers.letters import END

CHOICES = ("auto", "yes", "no")
if TYPE_CHECKING:
    Choice = Literal["auto", "yes", "no"]
else:
    # Another choice is told in a sentence.
    Choice = str
# Begins a turn in a chat, and is called BOS by tokenizers of models that chat.
_TURN = "<|im_start|>"
_MOST_BYTES = 64 * ordinary.MB
# Texts to see what a tokenizer puts before one; a vocabulary without the first may have another.
_PROBES = ("a", "1", "=", ".", "A")


@dataclass(frozen=True, slots=True)
class Bos:
    """The token that stands before a prompt, or None, with its text and the reason.

    `own` is what the tokenizer puts before every text by itself.
    """

    choice: Choice
    token: int | None
    text: str
    why: str
    own: tuple[int, ...]

    @property
    def sentence(self) -> str:
        """What a report says of it."""
        what = f"`{self.text}`, put before every prompt" if self.text else "none before a prompt"
        return f"BOS: {what} ({self.choice}: {self.why})."


def checked(choice: Choice) -> Choice:
    """The choice.

    Raises  UsageError if it is none.
    """
    if choice not in CHOICES:
        raise UsageError(f"bos must be auto, yes or no, got {choice!r:.40}")
    return choice


def bos_of(tokenizer: Any, choice: Choice = "auto") -> Bos:
    """The BOS for this tokenizer.

    Raises  UsageError for another choice, for `yes` where there is no token to put, and for a
            tokenizer that puts several before a text.
    """
    own = _own(tokenizer)
    if checked(choice) == "no":
        return Bos("no", None, "", "as asked for", own)
    if choice == "yes":
        token, why = _first(tokenizer, own), "as asked for"
        if token is None:
            raise UsageError(
                f"the tokenizer has no BOS, no EOS and no {END} to put before a text; "
                "choose `auto` or `no` for the BOS"
            )
    else:
        token, why = _trained_with(tokenizer, own)
    text = "" if token is None else str(tokenizer.convert_ids_to_tokens(token))
    return Bos(choice, token, text, why, own)


def begin(tokenizer: Any) -> int:
    """The token that stands before a document: what the tokenizer puts there itself, or else
    `<|endoftext|>`, its BOS or its EOS, the first that there is.

    Raises  UsageError for a tokenizer that has neither.
    """
    found = _first(tokenizer, _own(tokenizer))
    if found is None:
        raise UsageError(f"the tokenizer has no {END} and no BOS to put before a text")
    return found


def _trained_with(tokenizer: Any, own: tuple[int, ...]) -> tuple[int | None, str]:
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    if own:
        return _one(tokenizer, own), "the tokenizer puts it before every text"
    if bos is None:
        return None, "the tokenizer names no BOS"
    if _said(tokenizer, "add_bos_token") is True:
        return int(bos), "the tokenizer's files say add_bos_token"
    if bos == eos or tokenizer.bos_token == END:
        return int(bos), "it stands between the documents of the training text"
    if tokenizer.bos_token == _TURN and (end := _known(tokenizer, END)) is not None:
        return end, f"documents stood after it in training; the named BOS, {_TURN}, begins a turn"
    return None, f"the tokenizer names {tokenizer.bos_token} and does not put it"


def _said(tokenizer: Any, name: str) -> Any:
    """What the tokenizer's file says of this; loading a tokenizer may lose it.

    Raises  UsageError for a file that is none.
    """
    path = Path(str(tokenizer.name_or_path)) / "tokenizer_config.json"
    if not path.is_file():
        return getattr(tokenizer, "init_kwargs", {}).get(name)
    try:
        said = json.loads(ordinary.text(path, _MOST_BYTES))
    except ValueError:
        return None
    return said.get(name) if isinstance(said, dict) else None


def _first(tokenizer: Any, own: tuple[int, ...]) -> int | None:
    """The first that there is."""
    if own:
        return _one(tokenizer, own)
    found = (_known(tokenizer, END), tokenizer.bos_token_id, tokenizer.eos_token_id)
    return next((int(token) for token in found if token is not None), None)


def _one(tokenizer: Any, own: tuple[int, ...]) -> int:
    if len(own) > 1:
        put = " ".join(map(str, tokenizer.convert_ids_to_tokens(list(own))))
        raise UsageError(
            f"the tokenizer puts {len(own)} tokens before every text, {put}, where one BOS is "
            "expected; choose `no` for the BOS, or give token ids"
        )
    return own[0]


def _known(tokenizer: Any, text: str) -> int | None:
    """The token of exactly this text, and not the one for what the vocabulary lacks."""
    token = tokenizer.convert_tokens_to_ids(text)
    if token is None or tokenizer.convert_ids_to_tokens(token) != text:
        return None
    return int(token)


def _own(tokenizer: Any) -> tuple[int, ...]:
    """The tokens that the tokenizer puts before every text by itself."""
    for probe in _PROBES:
        plain = plainly(tokenizer, probe)
        if plain:
            whole = as_given(tokenizer, probe)
            starts = range(len(whole) - len(plain) + 1)
            return next(
                (tuple(whole[:at]) for at in starts if whole[at : at + len(plain)] == plain), ()
            )
    return ()


def plainly(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text, with nothing put before or after."""
    return _ids(tokenizer, text, add_special_tokens=False)


def as_given(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text as the tokenizer gives them, special ones included."""
    return _ids(tokenizer, text)


def _ids(tokenizer: Any, text: str, **options: bool) -> list[int]:
    # Not verbose: whether a text is too long is for the model to say.
    return [int(token) for token in tokenizer(text, verbose=False, **options)["input_ids"]]


def encode(tokenizer: Any, text: str, bos: Bos) -> list[int]:
    """The tokens of a text: `auto` gives them as the tokenizer does, `yes` after the BOS, `no` without
    one. Where a BOS is put, a text that begins with it is the text behind it."""
    own = bos.own
    if bos.choice == "auto":
        return as_given(tokenizer, unmarked(tokenizer, text, own[:1]))
    if bos.choice == "no":
        whole = as_given(tokenizer, text)
        return whole[len(own) :] if tuple(whole[: len(own)]) == own else whole
    assert bos.token is not None
    rest = as_given(tokenizer, unmarked(tokenizer, text, (bos.token,)))
    return rest if own else [bos.token, *rest]


def unmarked(tokenizer: Any, text: str, bos: tuple[int, ...]) -> str:
    """The text without this BOS at its beginning."""
    if not bos:
        return text
    mark = str(tokenizer.convert_ids_to_tokens(bos[0]))
    if text.startswith(mark) and plainly(tokenizer, mark) == [bos[0]]:
        return text[len(mark) :]
    return text


def begun(tokenizer: Any) -> Any:
    """The tokenizer, saying that what `begin` names stands before a text: a copy that puts it, where
    its files would have it that nothing or something else does.

    Raises  UsageError for a tokenizer that has nothing to put.
    """
    if bos_of(tokenizer).token == begin(tokenizer):
        return tokenizer
    told = copy.deepcopy(tokenizer)
    put(told)
    return told


def put(tokenizer: Any, between: bool = False) -> None:
    """Has the tokenizer put what `begin` names before a text and, of two, `between` them.

    Raises  UsageError for a tokenizer that has nothing to put.
    """
    from tokenizers.processors import TemplateProcessing

    number = begin(tokenizer)
    mark = tokenizer.convert_ids_to_tokens(number)
    second = f"{mark} $B:1" if between else "$B:1"
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{mark} $A", pair=f"{mark} $A {second}", special_tokens=[(mark, number)]
    )
