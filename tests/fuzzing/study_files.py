"""Files in experiments/ that are no studies, or are studies of a strange kind, drawn from a seed.

`kinds(place)` are the fixed ones and `changes(source, seed, n)` texts made of a good study by changing
a piece; both give (name, function that makes a file at a path).
"""

import os
import random

GOOD = '''"""Is it so?

Method  None.
"""

from typing import Literal

from interp.study import study

PROMPT = "Hello"


@study(expects="It is.", task=None, default=False)
def study(model, task, *, prompt: str = PROMPT, top: int = 5, kind: Literal["a", "b"] = "a"):
    return None
'''

PIECES = (
    *(
        "",
        "(",
        ")",
        "[",
        "{",
        '"',
        '"""',
        "'",
        "\\",
        "\n",
        "\t",
        "    ",
        "\0",
        "\x0c",
        "\r",
        ":",
        ",",
        "=",
        "@",
    ),
    *(
        "\ufeff",
        "\u202e",
        "\x1b[2J",
        "é",
        "𝔘",
        "¼",
        "#",
        "def ",
        "class ",
        "lambda: ",
        "await ",
        "yield ",
        "*",
        "**",
    ),
    *(
        "1" * 5000,
        "0x" + "f" * 50_000,
        "1e999",
        "-" * 3000 + "1",
        "(" * 300,
        "[" * 3000,
        "~" * 50_000 + "1",
    ),
    *(
        "None",
        "...",
        "True",
        "nan",
        "f'{x!r:{y}}'",
        "b'x'",
        "\\N{DASH}",
        "'\\ud800'",
        "print(1)",
        "list[int]",
    ),
    *(
        "'(('",
        "Literal[1, 'a']",
        "Literal[()]",
        "list[list[int]]",
        "int | None | str",
        "dict",
        "Optional[int]",
    ),
    *(
        "a.b" * 2000,
        "x if y else z",
        "3",
        "{1: 2}",
        "{1, [2]}",
        "[1, 'a']",
        "import os",
        "seed",
        "model",
        "out",
    ),
)
ANNOTATIONS = (
    *(
        '"(("',
        '"int"',
        "list[int]",
        "list[str]",
        "Literal['a']",
        "Literal[1]",
        "Literal[()]",
        "Literal['a', 1]",
    ),
    *(
        "int",
        "float",
        "str",
        "bool",
        "dict",
        "None",
        "int | None",
        "'x' * 9",
        "list",
        "list[Literal['a']]",
        "1",
        "''",
    ),
    *(
        "'" + "(" * 200 + "'",
        "'list[int'",
        "tuple[int, ...]",
        "Annotated[int, 3]",
        "'\\x00'",
        "not int",
        "f''",
        "*a",
    ),
)
DEFAULTS = (
    *(
        "1",
        "-1",
        "3.5",
        "'x'",
        "None",
        "True",
        "[]",
        "[1]",
        "['a']",
        "{}",
        "()",
        "{1}",
        "1j",
        "b'x'",
        "...",
        "1e999",
    ),
    *(
        "-" * 1000 + "1",
        "0x" + "f" * 5000,
        "9" * 5000,
        "PROMPT",
        "nowhere",
        "f()",
        "[[1]]",
        "'\\ud800'",
        "'\\x1b[2J'",
    ),
    *(
        "'x' * 3",
        "[" * 90 + "]" * 90,
        "{'a': {'b': []}}",
        "{[]: 1}",
        "not 1",
        "1 if 1 else 2",
        "(lambda: 1)",
    ),
)


def _stands(kind):
    def make(path):
        match kind:
            case "folder":
                path.mkdir()
            case "pipe":
                os.mkfifo(path)
            case "dangling link":
                path.symlink_to("nowhere")
            case "looping link":
                path.symlink_to(path.name)
            case "device":
                path.symlink_to("/dev/zero")
            case "huge":
                with path.open("wb") as file:
                    file.truncate(1 << 40)

    return make


def _holds(data):
    return lambda path: path.write_bytes(data if isinstance(data, bytes) else data.encode())


def kinds():
    """What is no text at all, and texts that break parsers."""
    for kind in ("folder", "pipe", "dangling link", "looping link", "device", "huge"):
        yield kind, _stands(kind)
    texts = {
        "nothing": "",
        "bytes": b"\xff\xfe\x00",
        "zeros": b"\0" * 1000,
        "minuses": "x = " + "-" * 50_000 + "1",
        "minuses as a default": GOOD.replace("= 5", "= " + "-" * 50_000 + "1"),
        "brackets": "(" * 100_000,
        "closed brackets": "(" * 90 + "1" + ")" * 90,
        "attributes": "x = " + "a." * 20_000 + "b",
        "a sum": "x = " + "1+" * 30_000 + "1",
        "indents": "".join(" " * depth + "if x:\n" for depth in range(200)),
        "an annotation that is no Python": GOOD.replace("top: int", 'top: "(("'),
        "a list whose default is none": GOOD.replace("top: int = 5", "top: list[int] = 3"),
        "a digit too many": GOOD.replace("= 5", "= " + "9" * 5000),
        "hexadecimal": GOOD.replace("= 5", "= 0x" + "f" * 50_000),
        "another coding": b"# coding: latin-1\n'''\xe9'''\n",
        "an exit": GOOD + "\nraise SystemExit(0)\n",
        "a base exception": GOOD + "\nclass E(BaseException): pass\nraise E\n",
    }
    for name, text in texts.items():
        yield name, _holds(text)


def changes(seed, n):
    """So many texts made of the good study."""
    random_ = random.Random(seed)
    for _ in range(n):
        if random_.random() < 0.5:
            annotation, default = random_.choice(ANNOTATIONS), random_.choice(DEFAULTS)
            text = GOOD.replace("top: int = 5", f"top: {annotation} = {default}")
            yield f"top: {annotation:.30} = {default:.30}", _holds(text)
            continue
        text = GOOD
        for _ in range(random_.randint(1, 3)):
            at, long = random_.randrange(len(text)), random_.choice((0, 0, 1, 5, 40))
            text = text[:at] + random_.choice(PIECES) + text[at + long :]
        yield f"{text[-60:]!r}", _holds(text)
