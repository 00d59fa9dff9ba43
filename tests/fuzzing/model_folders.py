"""Folders of models as nobody would write them: one change to what lies in one, drawn from a seed.

Each change is (name, function of the folder); `changes(folder, seed, n)` draws n of them for a folder of
any kind, and `fixed(folder)` are those that no draw may leave out.
"""

import copy
import json
import os
import random
import struct

import torch

VALUES = (
    *(None, True, False, 0, -1, 1, 2, 3, 7, 2**31, 10**9, 10**11, 2**63, 10**400, -(10**30)),
    *(0.5, 1.0, 1e308, -1e-5, float("nan"), float("inf"), 1e-320),
    *(
        "",
        "x",
        "3",
        "silu",
        "linear",
        "\ud800",
        "\x1b[2J\x07",
        "a\nb",
        "../../etc/passwd",
        "ü" * 5000,
    ),
    *([], [None], ["x"], [[]], [3] * 40, {}, {"a": 1}, {"rope_type": "linear"}, {"factor": "x"}),
)
TEXTS = (
    *(
        b"",
        b"{",
        b"null",
        b"[]",
        b"3",
        b'"x"',
        b"\xff\xfe{}",
        b"\0" * 100,
        b"\xef\xbb\xbf{}",
        b"{}",
    ),
    *(
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"n_layer": ' + b"9" * 5000 + b"}",
        b"NaN",
        b'{"a": 1e999}',
    ),
    *(b'{"model_type": "gpt2", "model_type": "llama"}', b'{"model_type": "gpt2"}'),
    b'{"x": ' + b"[" * 900 + b"]" * 900 + b"}",
)
DTYPES = (
    "F32",
    "F16",
    "BF16",
    "F64",
    "I32",
    "BOOL",
    "U8",
    "F8_E4M3",
    "F8_E5M2",
    "F4",
    "F8_E8M0",
    "Q4",
)
SIZES = (0, 1, 3, 35, 10**11, 2**40, 2**64, -1, 2**31)


def json_files(folder):
    return [path for path in sorted(folder.glob("*.json")) if path.name[:5] in ("confi", "inter")]


def safetensors(folder):
    return sorted(folder.glob("*.safetensors"))


def ways(data, here=()):
    """The way to every value inside."""
    if here:
        yield here
    inside = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    for key, value in inside:
        yield from ways(value, (*here, key))


def replaced(data, way, value):
    """The data with one value changed; with `...` it is taken out."""
    data = copy.deepcopy(data)
    place = data
    for key in way[:-1]:
        place = place[key]
    if value is ...:
        del place[way[-1]]
    else:
        place[way[-1]] = value
    return data


def header(path):
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + size]), raw[8 + size :]


def write_safetensors(path, told, body, size=None):
    """A file with this header; `size` is what it says of the header's length."""
    text = json.dumps(told).encode("utf-8", "surrogatepass")
    path.unlink()
    path.write_bytes(struct.pack("<Q", (len(text) if size is None else size) % 2**64) + text + body)


def write_json(path, data):
    path.unlink(missing_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8", errors="surrogatepass")


def changes(folder, seed, n):
    """n changes of what lies in the folder."""
    draw = random.Random(seed)
    for number in range(n):
        kind = draw.choice((value_changed, value_changed, value_changed, text_changed, header_changed,
                            header_changed, tensor_changed, bytes_changed))  # fmt: skip
        yield f"{number}: {kind.__name__}", kind(folder, draw)


def value_changed(folder, draw):
    path = draw.choice(json_files(folder))
    data = json.loads(path.read_text())
    for _ in range(draw.choice((1, 1, 1, 2))):
        names = [way for way in ways(data) if "files" not in way or draw.random() < 0.2]
        data = replaced(data, draw.choice(names), draw.choice((*VALUES, ...)))
    return lambda copied: write_json(copied / path.name, data)


def text_changed(folder, draw):
    path, text = draw.choice(json_files(folder)), draw.choice(TEXTS)

    def change(copied):
        (copied / path.name).unlink()
        (copied / path.name).write_bytes(text)

    return change


def header_changed(folder, draw):
    path = draw.choice(safetensors(folder) or [None])
    if path is None:
        return text_changed(folder, draw)
    told, body = header(path)
    name = draw.choice(sorted(told))
    size = None
    kind = draw.choice(("shape", "dtype", "offsets", "gone", "name", "value", "length"))
    if kind == "shape" and "shape" in told[name]:
        shape = list(told[name]["shape"])
        shape[draw.randrange(len(shape))] = draw.choice(SIZES)
        told[name]["shape"] = draw.choice((shape, shape[::-1], [*shape, 1], shape[:1]))
    elif kind == "dtype":
        told[name]["dtype"] = draw.choice(DTYPES)
    elif kind == "offsets":
        told[name]["data_offsets"] = [draw.choice(SIZES), draw.choice(SIZES)]
    elif kind == "gone":
        del told[name]
    elif kind == "name":
        told[draw.choice(("\x1b[2J" * 50, "x" * 5000, "", name + ".bias"))] = told.pop(name)
    elif kind == "value":
        told[name] = draw.choice(VALUES)
    else:
        size = draw.choice((0, 1, 7, 10**8, 10**12, 2**63, -1))
    return lambda copied: write_safetensors(copied / path.name, told, body, size)


def tensor_changed(folder, draw):
    """Weights of other shapes or kinds than the config says, written whole."""
    path = draw.choice([*safetensors(folder), *folder.glob("*.pt")])
    how = draw.choice((
        lambda it: it[:-1], lambda it: it[None], lambda it: it.flatten(),
        lambda it: it.mT.contiguous() if it.ndim > 1 else it[::2],
        lambda it: it.half(), lambda it: it.int(), lambda it: it.to(torch.float8_e4m3fn),
        lambda it: it.to(torch.complex64), lambda it: it * float("nan"), lambda it: it[:0],
        lambda it: it.sum(), lambda it: torch.cat([it, it]), lambda it: it.bool(),
    ))  # fmt: skip

    def change(copied):
        from safetensors.torch import load_file, save_file

        place = copied / path.name
        tensors = load_file(place) if path.suffix == ".safetensors" else torch.load(place)
        name = draw.choice([each for each in sorted(tensors) if tensors[each].ndim])
        tensors[name] = how(tensors[name]).contiguous()
        place.unlink()
        (save_file if path.suffix == ".safetensors" else torch.save)(tensors, place)

    return change


def bytes_changed(folder, draw):
    path = draw.choice(sorted(path for path in folder.iterdir() if path.is_file()))
    raw = bytearray(path.read_bytes())
    if draw.random() < 0.4:
        raw = raw[: draw.randrange(len(raw) + 1)]
    for _ in range(draw.choice((0, 1, 20))):
        if raw:
            # The beginning of a file decides most.
            raw[draw.randrange(draw.choice((len(raw), min(len(raw), 200))))] = draw.randrange(256)

    def change(copied):
        (copied / path.name).unlink()
        (copied / path.name).write_bytes(bytes(raw))

    return change


def fixed(folder):
    """What stands in place of a file and is none, for every file of the folder."""
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        for kind, put in OTHERS.items():

            def change(copied, name=path.name, put=put):
                (copied / name).unlink()
                put(copied / name)

            yield f"{kind} for {path.name}", change


OTHERS = {
    "a pipe": os.mkfifo,
    "a folder": os.mkdir,
    "a loop of links": lambda path: os.symlink(path.name, path),
    "a link to nothing": lambda path: os.symlink("nowhere", path),
    "a device": lambda path: os.symlink("/dev/zero", path),
    "nothing": lambda path: None,
    "a file of nothing": lambda path: path.write_bytes(b""),
    "a large file of nothing": lambda path: (path.touch(), os.truncate(path, 1 << 40)),
}
