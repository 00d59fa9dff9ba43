"""Runs on disk as nobody would write them: one change to what is stored, drawn from a seed.

Each change is (name, function of the run's folder); `changes(folder, seed, n)` draws n of them.
"""

import copy
import json
import os
import random
import shutil

VALUES = (
    *(
        None,
        True,
        False,
        0,
        -1,
        3,
        2**63,
        10**400,
        0.5,
        -1e308,
        "",
        "x",
        "\ud800",
        "\x1b[2J",
        "a/../b",
    ),
    *(
        [],
        [None],
        ["x"],
        [[]],
        {},
        {"block": "Text"},
        {"array": "nowhere"},
        {"block": "Table", "name": "x"},
    ),
)
# A result that no JSON library would write.
TEXTS = (
    *(b"", b"{", b"null", b"[]", b"\xff\xfe", b"\0" * 100, b"[" * 100_000, b'{"a":' * 100_000),
    *(b"NaN", b"1e999", b"9" * 5000, b'"\\ud800"', b'{"schema_version": true}'),
)
FILES = (
    "result.json",
    "arrays.safetensors",
    "key.json",
    "report.html",
    "tables/heads.csv",
    "tables",
)


def paths(data, here=()):
    """The way to every value inside."""
    yield here
    items = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    for key, value in items:
        yield from paths(value, (*here, key))


def replaced(data, path, value):
    """The data with one value changed."""
    data = copy.deepcopy(data)
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return data


def without(data, path):
    """The data without one of its values."""
    data = copy.deepcopy(data)
    place = data
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return data


def _remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _stands(path, kind):
    _remove(path)
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


KINDS = ("nothing", "folder", "pipe", "dangling link", "looping link", "device", "huge")


def changes(folder, seed, n):
    """So many changes of the run in this folder: of one field, of the whole text, of a file's kind,
    of single bytes."""
    random_ = random.Random(seed)
    data = json.loads((folder / "result.json").read_text())
    ways = [way for way in paths(data) if way]

    def field():
        way, value = random_.choice(ways), random_.choice(VALUES)
        new = without(data, way) if random_.random() < 0.1 else replaced(data, way, value)
        text = json.dumps(new)
        return f"{way} = {value!r:.40}", lambda run: (run / "result.json").write_text(text)

    def text():
        name, content = random_.choice(FILES[:5]), random_.choice(TEXTS)
        return f"{name} is {content[:20]!r}", lambda run: (run / name).write_bytes(content)

    def kind():
        name, what = random_.choice(FILES), random_.choice(KINDS)
        return f"{name} is a {what}", lambda run: _stands(run / name, what)

    def flipped():
        name = random_.choice([each for each in FILES[:5] if (folder / each).is_file()])
        content = bytearray((folder / name).read_bytes())
        for _ in range(random_.randint(1, 4)):
            content[random_.randrange(len(content))] = random_.randrange(256)
        return f"{name} flipped", lambda run: (run / name).write_bytes(content)

    for _ in range(n):
        yield random_.choices((field, text, kind, flipped), weights=(6, 1, 1, 1))[0]()
