"""What lies in a place after a command: contents that can be compared, since what clocks and memory
say is left out, and what is only half there."""

import hashlib
import json
import re

# What tells of clocks, memory and places.
TIMES = {"seconds", "started", "peak_memory_mb", "tokens_per_second"}
# A training and a sweep keep there what they need to go on.
UNDERWAY = (
    "here/models/new/training/",
    "here/models/mine/training/",
    "here/models/tuned/training/",
)
UNDERWAY += ("here/models/judge/training/", "here/reports/.sweeps/")


def contents(place):
    """path -> what is in it, for every file that a command is asked for; what lies in workshops is not
    among it."""
    found = {}
    for top in (place.here, place.cache / "models"):
        for path in sorted(top.rglob("*")):
            apart = {"__pycache__"} & set(path.parts) or any(
                it.startswith(".interp-") for it in path.parts
            )
            if path.is_file() and not apart:
                # A comparison is called by where the two runs lie.
                name = re.sub("-[0-9a-f]{8}/", "/", str(path.relative_to(place.top)))
                found[name] = _content(path)
    return found


def torn(place, before, expected):
    """The files that are neither as before the command nor as after it, of those that are to be whole
    at any time; and those that no reader could read."""
    found = []
    for name, content in contents(place).items():
        if content == "unreadable":
            found.append(f"half-written: {name}")
        elif name not in expected and not name.startswith(UNDERWAY):
            found.append(f"left by the kill: {name}")
        elif content not in (before.get(name), expected.get(name)) and not name.startswith(
            UNDERWAY
        ):
            found.append(f"neither old nor new: {name}")
    # A folder that says that it is a run or a model is one, whole.
    for mark in ("result.json", "interp.json"):
        for path in place.here.rglob(mark):
            folder = str(path.parent.relative_to(place.top)) + "/"
            if any(part.startswith(".interp-") for part in path.parts) or folder.startswith(
                UNDERWAY
            ):
                continue
            whole = {name for name in {**before, **expected} if name.startswith(folder)}
            whole = {name for name in whole if not name.startswith(UNDERWAY)}
            lacking = whole - contents(place).keys()
            if lacking and mark in "".join(whole):
                found.append(f"{folder} is not whole: {sorted(lacking)[:3]} not there")
    return found


def _content(path):
    try:
        if path.name in ("result.json", "results.json"):
            return json.dumps(_timeless(json.loads(path.read_bytes())), sort_keys=True)
        if path.name == "state.safetensors":
            return _state(path)
        if path.suffix == ".html":
            text = path.read_text("utf-8")
            return "a page" if re.search(r"</html>\s*$", text) else "unreadable"
        if path.suffix == ".json":
            json.loads(path.read_bytes())
    except (ValueError, KeyError, OSError):
        return "unreadable"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _timeless(data):
    if isinstance(data, dict):
        return {name: _timeless(value) for name, value in data.items() if name not in TIMES}
    return [_timeless(each) for each in data] if isinstance(data, list) else data


def _state(path):
    """Where a training stands: its numbers, and its curve without the speeds."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    standing = json.loads(header.pop("__metadata__")["standing"])
    body = raw[8 + length :]
    if len(body) != max(entry["data_offsets"][1] for entry in header.values()):
        return "unreadable"
    told = json.dumps([header, _timeless(standing)], sort_keys=True)
    return hashlib.sha256(told.encode() + body).hexdigest()
