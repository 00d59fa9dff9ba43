"""What stands in a model's folder, in a training, among the reports or among the studies is changed at
one place, and commands that read it are run."""

import shutil

import model_folders
import stored_runs
import study_files
from command_lines import SHORT, SMALL, shown
from forked import Place, call
from outcome import ran

HUGGING_FACE = {"gpt2": "tiny-gpt2", "llama": "tiny-llama"}
RUNS = ("works", "anatomy", "head_circuits")


def models(base, top):
    """A folder with a model of each kind that there is, and with a training."""
    here = shutil.copytree(base, top)
    judge = ["finetune", "tiny-gpt2", "models/judge", "--labels", "pairs.csv", "--context", "32"]
    _do(
        here,
        [*judge, *SHORT],
        *(["export", name, f"models/{kind}"] for kind, name in HUGGING_FACE.items()),
    )
    with Place(here) as place:
        ended = call(_old, place)
        assert ended.code == 0, ended
        shutil.copytree(place.here / "models" / "old", here / "models" / "old")
    return here


def model(place, draw):
    """A model's folder with one change: it is loaded, or refused in one sentence."""
    name = draw.choice(("mine", "judge", "old", *HUGGING_FACE))
    folder = place.here / "models" / name
    if draw.random() < 0.1:
        label, change = draw.choice(list(model_folders.fixed(folder)))
    else:
        label, change = next(model_folders.changes(folder, draw.random(), 1))
    change(folder)
    path = f"models/{name}"
    commands = [
        *(["run", "works", "--model", path], ["run", "task_check", "--model", path, "--n", "2"]),
        *(["export", path, "exported"], ["run", "works", "--model", path, "--dtype", "bfloat16"]),
        ["finetune", path, "models/new", "--text", "text.txt", "--context", "8", *SHORT],
    ]
    if name == "judge":
        words = [
            "run",
            "pair_scoring",
            "--classifier",
            path,
            "--pairs",
            "pairs.csv",
            "--explain",
            "1",
        ]
        commands += [words] * 5
    return _ends(draw.choice(commands), place, f"{label} in {name}")


def training(place, draw):
    """A training with one change, which is to go on."""
    folder = place.here / "models" / "mine"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    files += [folder / "training" / name for name in ("recipe.json", "state.safetensors")] * 4
    path, raw = draw.choice(files), None
    kind = draw.choice(("bytes", "text", "other", "value"))
    raw = bytearray(path.read_bytes())
    if kind == "other":
        kind, put = draw.choice(list(model_folders.OTHERS.items()))
        path.unlink()
        put(path)
    elif kind == "value" and path.name == "recipe.json":
        data = model_folders.json.loads(raw)
        way, value = draw.choice(list(model_folders.ways(data))), draw.choice(model_folders.VALUES)
        model_folders.write_json(path, model_folders.replaced(data, way, value))
        kind = f"{way} = {value!r:.40}"
    elif kind == "text":
        path.write_bytes(draw.choice(model_folders.TEXTS))
    else:
        raw = raw[: draw.randrange(len(raw) + 1)] if draw.random() < 0.4 else raw
        for _ in range(draw.choice((1, 20)) if raw else 0):
            raw[draw.randrange(draw.choice((len(raw), min(len(raw), 200))))] = draw.randrange(256)
        path.write_bytes(raw)
    steps = draw.choice((("--steps", "6"), ("--steps", "9"), ("--steps", "2")))
    words = ["train", "models/mine", "--repeats", *SMALL, *SHORT, *steps]
    return _ends(words, place, f"{kind} in {path.relative_to(place.here)}")


def runs(base, top):
    """A folder with runs that have pages of many kinds."""
    here = shutil.copytree(base, top)
    _do(here, *(["run", name, "--model", "tiny-gpt2"] for name in RUNS))
    return here


def stored(place, draw):
    """A stored run with one change: it is listed, and drawn or refused, and run again."""
    name = draw.choice(RUNS)
    folder = place.here / "reports" / "tiny-gpt2" / "none" / name
    label, change = next(stored_runs.changes(folder, draw.random(), 1))
    try:
        change(folder)
    except FileNotFoundError:  # that table is not in every run
        label = "nothing"
    words, allowed = draw.choice((
        (["index"], (0,)), (["index"], (0,)), (["render"], (0, 1)),
        (["run", name, "--model", "tiny-gpt2"], (0,)),
        (["run", name, "--model", "tiny-gpt2", "--dry-run"], (0,)),
        (["compare", f"tiny-gpt2/none/{name}", "tiny-llama/none/works"], (0, 1, 2)),
    ))  # fmt: skip
    return _ends(words, place, f"{label} in {name}", allowed)


def study(place, draw):
    """A file among the studies that is none, or a strange one: it is listed, and stops nothing."""
    kinds = list(study_files.kinds()) if draw.random() < 0.3 else ()
    label, make = draw.choice(kinds or list(study_files.changes(draw.random(), 1)))
    make(place.here / "experiments" / "bad.py")
    words, allowed = draw.choice((
        (["list"], (0,)), (["index"], (0,)), (["run", "works", "--model", "tiny-gpt2"], (0,)),
        (["doctor"], (0,)), (["run", "bad", "--help"], (0, 1, 2)), (["run", "all", "--help"], (0,)),
        (["run", "bad", "--dry-run", "--model", "tiny-gpt2"], (0, 1, 2)),
    ))  # fmt: skip
    return _ends(words, place, f"bad.py is {label}", allowed)


def _ends(words, place, what, allowed=(0, 2, 3)):
    return f"{what}: {shown(words)}", *ran(words, place, allowed)


def _do(here, *commands):
    with Place() as place:
        place.here = here
        for words in commands:
            ended = call(words, place)
            assert ended.code == 0, ended


def _old(place):
    """A checkpoint of the old HookedTransformer class, in PyTorch's format."""
    import torch

    from interp.transformer import Config, Transformer

    folder = place.here / "models" / "old"
    folder.mkdir(parents=True)
    config = {"n_layers": 2, "d_model": 12, "n_ctx": 9, "d_head": 4, "n_heads": 3, "d_vocab": 11}
    config |= {"act_fn": "relu", "normalization_type": "LN", "d_mlp": 10, "d_vocab_out": 11}
    model_folders.write_json(folder / "config.json", config)
    sizes = {name: config[name] for name in ("n_layers", "d_model", "n_ctx", "d_head", "n_heads")}
    made = Transformer(Config(**sizes, d_vocab=11, d_mlp=10, tied=False))
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    torch.save({name: it.detach() for name, it in made.named_parameters()}, folder / "m.pt")
    return 0
