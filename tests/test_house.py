"""The rules of the house: who may import whom, what axes are called, what costs nothing."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "interp"
# A module imports only from its own row and the rows before it.
LADDER = (
    {"errors", "lazy", "visible", "glossary"},
    {"streams"},
    {"files"},
    {"ordinary"},
    {"rows"},
    {"sites"},
    {"edits"},
    {"cache"},
    {"components"},
    {"stats"},
    {"tokenizers"},
    {"transformer"},
    {"weights"},
    {"tasks"},
    {"metrics"},
    {"engine"},
    {"linear"},
    {"effects"},
    {"methods"},
    {"circuits"},
    {"training", "classifiers"},
    {"report"},
    {"views"},
    {"study"},
    {"lab"},
    {"runs"},
    {"compare"},
    {"cli"},
    {"bench"},
)
RANK = {room: rank for rank, row in enumerate(LADDER) for room in row}
# What a page is drawn with; torch and models are not among it.
REPORT_LIBRARIES = {"numpy", "pandas", "jinja2", "markupsafe", "plotly", "safetensors"}
AXES = {
    *("batch", "pos", "query", "key", "head", "kv_head", "group", "layer", "component", "neuron"),
    *(
        "reader",
        "writer",
        "circuit",
        "edge",
        "place",
        "draw",
        "intervention",
        "example",
        "label",
        "step",
        "half",
        "d_model",
        "d_head",
        "d_mlp",
        "d_vocab",
    ),
}
CONTRACTIONS = {"einsum", "rearrange", "reduce", "repeat"}
SHAPES = {"Float", "Int", "Bool", "Num", "Real", "Shaped", "Inexact", "Integer", "UInt", "Complex"}

SOURCES = sorted(PACKAGE.rglob("*.py"))
STUDIES = sorted((ROOT / "experiments").glob("*.py"))


def named(path):
    return str(path.relative_to(ROOT))


def imports(tree):
    """Every module that is named in an import, wherever it stands; `from interp import sites` is
    interp.sites."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            if node.module == "interp":
                yield from (f"interp.{each.name}" for each in node.names)
            else:
                yield node.module


def forbidden(room, modules):
    """Those of the modules that stand on a later row than the room."""
    inner = (module.split(".") for module in modules if module.startswith("interp."))
    return [".".join(parts) for parts in inner if RANK.get(parts[1], -1) > RANK[room]]


def test_the_ladder_would_catch_a_step_down():
    assert forbidden("tasks", ["interp.sites", "interp.engine.plan", "torch"]) == [
        "interp.engine.plan"
    ]
    tree = ast.parse("def late():\n    from interp import study")
    assert forbidden("report", imports(tree)) == ["interp.study"]


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_module_imports_only_from_the_rows_before_it(path):
    room = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if room.startswith("__"):
        return
    assert room in RANK, f"{room} stands on no row of the ladder"
    assert not forbidden(room, imports(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("path", sorted((PACKAGE / "report").rglob("*.py")), ids=named)
def test_a_report_knows_no_model(path):
    for module in imports(ast.parse(path.read_text(encoding="utf-8"))):
        root, *inner = module.split(".")
        if root == "interp":
            assert inner[0] in ("errors", "ordinary", "report", "visible"), module
        else:
            assert root in REPORT_LIBRARIES or root in sys.stdlib_module_names, module


@pytest.mark.parametrize("path", STUDIES, ids=named)
def test_a_study_imports_doors_and_no_other_study(path):
    others = {study.stem for study in STUDIES}
    for module in imports(ast.parse(path.read_text(encoding="utf-8"))):
        assert not module.startswith(("interp.report.", "interp.study.", "experiments")), module
        assert module not in others, module


def name_of(node):
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def patterns(tree):
    """The axis strings of einsum, einops and jaxtyping in this source, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_of(node.func) in CONTRACTIONS:
            candidates = node.args[:2]
        elif isinstance(node, ast.Subscript) and name_of(node.value) in SHAPES:
            candidates = node.slice.elts[1:] if isinstance(node.slice, ast.Tuple) else []
        else:
            continue
        for each in candidates:
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                yield node.lineno, each.value
            elif isinstance(each, ast.JoinedStr):
                yield node.lineno, ast.unparse(each)


def misspelt(pattern):
    """The names in an axis string that are on no list."""
    for mark in ("->", ",", "(", ")"):
        pattern = pattern.replace(mark, " ")
    words = (word.lstrip("*#?") for word in pattern.split())
    return [word for word in words if word not in AXES | {"...", "_"} and not word.isdigit()]


def test_a_misspelt_axis_would_be_caught():
    source = 'einsum("batch haed d_head, head d_head d_model -> batch d_model", z, W)'
    (found,) = patterns(ast.parse(source))
    assert misspelt(found[1]) == ["haed"]
    shapes = ast.parse('def f(x: Float[Tensor, "batch pso"]) -> Float[Tensor, "*batch 1"]: ...')
    assert sorted(misspelt(pattern) for _, pattern in patterns(shapes)) == [[], ["pso"]]
    (computed,) = patterns(ast.parse('rearrange(x, f"{axis} pos -> pos")'))
    assert misspelt(computed[1])


@pytest.mark.parametrize("path", [*SOURCES, *STUDIES], ids=named)
def test_axes_are_called_by_the_names_on_the_list(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    wrong = [(line, misspelt(pattern)) for line, pattern in patterns(tree) if misspelt(pattern)]
    assert not wrong


@pytest.mark.parametrize("path", [*SOURCES, *STUDIES], ids=named)
def test_heads_and_neurons_are_spelt_by_components(path):
    # An edit stands before components on the ladder, and a page knows none.
    room = path.relative_to(ROOT).parts[1]
    if room in ("components", "edits") or named(path) == "interp/report/visible.py":
        return
    assert not re.findall(r"L\{[^}]*\}\"?\s*(?:f\")?(?:H|N|KV)\{", path.read_text(encoding="utf-8"))


def lines_of(path):
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_file_holds_one_concept(path):
    assert lines_of(path) <= 300


def test_the_transformers_equations_can_be_read_in_one_sitting():
    equations = (
        "attention",
        "block",
        "contract",
        "embed",
        "fused",
        "mask",
        "mlp",
        "norm",
        "project",
    )
    files = [PACKAGE / "transformer" / f"{name}.py" for name in (*equations, "rotary")]
    assert sum(map(lines_of, files)) <= 600


def test_sites_have_axes_on_the_list():
    from interp.sites import KINDS, Site

    axes = {axis for kind in KINDS for axis in Site(kind).axes}
    assert not misspelt(" ".join(axes))


@pytest.mark.parametrize("words", [["--help"], ["list"], ["run", "--help"], ["models"], ["tasks"]])
def test_what_only_tells_imports_no_torch(words):
    code = (
        "import sys\n"
        "from interp.cli.main import main\n"
        f"code = main({words!r})\n"
        "sys.exit(code or ('torch' in sys.modules) * 99)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_imports_no_torch():
    names = "interp, interp.sites, interp.components, interp.study"
    code = f"import sys, {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_signatures_are_checked_while_tests_run():
    import torch
    from jaxtyping import TypeCheckError

    from interp.transformer.attention import attention_mask

    # Whole numbers would go through, and mean another mask.
    with pytest.raises(TypeCheckError):
        attention_mask(torch.ones(1, 3, dtype=torch.int64), True, None)


# Metaphors of our own, for which the field has words (see the glossary).
PRIVATE_WORDS = {
    *("asked", "look", "looks", "held", "turn", "carry", "carried", "carryon", "reread", "grid"),
    *("door", "cone", "beginning", "thought", "attended", "passages", "untapped"),
}
PRIVATE_PHRASES = ("had no say", "looks from", "an even look", "had a say", "thinks about")


def words_of(name):
    """The words of a name: `HeldNorm` has held and norm, `held_out` is one."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return set(apart.replace("held_out", "heldout").replace("carry_on", "carryon").split("_"))


def public_names(path):
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def test_private_words_are_seen_in_names():
    assert words_of("HeldNorm") & PRIVATE_WORDS
    assert words_of("carry_on") & PRIVATE_WORDS
    assert not words_of("held_out") & PRIVATE_WORDS
    assert not words_of("turned_return") & PRIVATE_WORDS


@pytest.mark.parametrize("path", [*SOURCES, *STUDIES], ids=named)
def test_public_names_are_the_fields_words(path):
    assert not [name for name in public_names(path) if words_of(name) & PRIVATE_WORDS]


@pytest.mark.parametrize("path", [*SOURCES, *STUDIES], ids=named)
def test_pages_say_it_in_the_fields_words(path):
    text = " ".join(path.read_text(encoding="utf-8").split())
    assert not [phrase for phrase in PRIVATE_PHRASES if phrase in text]
