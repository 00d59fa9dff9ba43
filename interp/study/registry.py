"""Which studies there are: files of the experiments folder, read without being imported."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import interp
from interp import ordinary
from interp.errors import InterpError, UsageError, brief, nearest
from interp.study.declaration import USUAL_COST, Declaration, declaration
from interp.study.settings import Setting, Value, from_source, literal, shared
from interp.visible import one_line

# The paragraph `Limits` of a docstring: its line and the indented ones below.
_LARGEST, _LONGEST_DEFAULT = 4 << 20, 100_000
_LIMITS = re.compile(r"^Limits\b(?P<text>.*(?:\n[ \t].*|\n(?=\n[ \t]))*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Study:
    """What the source of one experiment says: enough to list it and to read its command line."""

    name: str
    path: Path
    question: str
    method: str
    limits: str
    expects: str
    task: str | None
    also: str | None
    default: bool
    gated: bool
    sweeps: bool
    cost: int
    model: str
    settings: tuple[Setting, ...]
    shared: tuple[str, ...]
    function: str

    def load(self) -> tuple[Callable[..., Any], Declaration]:
        """The function and its declaration; this imports the file.

        Raises  InterpError if the file no longer holds what was read from it. Whatever the file
                raises while it is imported passes through.
        """
        name = f"interp_experiment_{self.name}"
        spec = importlib.util.spec_from_file_location(name, self.path)
        if spec is None or spec.loader is None:
            raise InterpError(f"{self.path} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        function = getattr(module, self.function, None)
        declared = declaration(function)
        if function is None or declared is None:
            raise InterpError(f"{self.path} no longer holds the experiment {self.function!r}")
        return function, declared


@dataclass(frozen=True, slots=True)
class Broken:
    """A file that is no experiment, and why."""

    path: Path
    error: str

    @property
    def name(self) -> str:
        return self.path.stem


@dataclass(frozen=True, slots=True)
class Registry:
    """The studies of one folder, by name, and the files in it that are none."""

    folder: Path
    studies: dict[str, Study]
    broken: tuple[Broken, ...]

    def pick(self, names: Iterable[str]) -> list[Study]:
        """The studies with these names, each once; `all` is the default suite.

        Raises  UsageError for an unknown name, listing the nearest; InterpError for a broken file.
        """
        picked: dict[str, Study] = {}
        for name in names:
            if name == "all":
                picked |= {each.name: each for each in self.studies.values() if each.default}
            elif name in self.studies:
                picked[name] = self.studies[name]
            else:
                for file in self.broken:
                    if file.name == name:
                        raise InterpError(f"{shown(file.path)} is broken: {file.error}")
                known = [*self.studies, "all"]
                raise UsageError(f"no experiment is called {brief(name)}; {nearest(name, known)}")
        return list(picked.values())


def folder() -> Path:
    """`./experiments`, else the one beside the installed checkout.

    Raises  UsageError if there is neither.
    """
    beside = Path(interp.__file__).resolve().parent.parent / "experiments"
    for place in (Path("experiments"), beside):
        if place.is_dir():
            return place.resolve()
    raise UsageError(
        f"no experiments folder: looked for {Path('experiments').resolve()} and {beside}; "
        "change to a checkout, or begin a study with `interp new NAME`"
    )


def discover(place: Path | None = None) -> Registry:
    """The studies of this folder. Files whose name begins with an underscore are left alone."""
    place = place or folder()
    studies: dict[str, Study] = {}
    broken: list[Broken] = []
    for path in sorted(place.glob("*.py")):
        if path.name.startswith("_"):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                studies[path.stem] = read(path)
        except UsageError as error:
            broken.append(Broken(path, one_line(error)))
        # Whatever a file does to the parser or to what reads its tree, it is that file's fault.
        except Exception as error:
            broken.append(
                Broken(path, f"cannot be read ({type(error).__name__}: {one_line(error, 200)})")
            )
    return Registry(place, studies, tuple(broken))


def read(path: Path) -> Study:
    """The experiment in this file.

    Raises  UsageError that says what is wrong with the file.
    """
    if not path.stem.isidentifier() or path.stem == "all":
        raise UsageError(
            f"the name {path.stem!r} cannot be used; rename it, such as my_question.py"
        )
    try:
        tree = ast.parse(ordinary.text(path, _LARGEST))
    except SyntaxError as error:
        raise UsageError(f"syntax error in line {error.lineno}: {error.msg}") from None
    except ValueError as error:
        raise UsageError(f"cannot be read: {error}") from None
    docstring = ast.get_docstring(tree)
    if not docstring:
        raise UsageError("no docstring; its first line is the question")
    marked = [
        (node, mark)
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and (mark := _mark(node)) is not None
    ]
    if len(marked) != 1:
        raise UsageError(f"expected one function decorated with @study(…), got {len(marked)}")
    for module in sorted(_imports(tree)):
        if not _exists(module):
            raise UsageError(f"imports {module!r}, which is not installed")
    function, mark = marked[0]
    question, _, body = docstring.partition("\n")
    limits = _LIMITS.search(body)
    constants = dict(_constants(tree))
    declared = _declared(mark, constants)
    settings, kind = from_source(function, constants), declared["model"]
    for each in settings:
        _checked_default(each)
    if kind != KINDS[0] and (
        declared["task"] is not None or kind not in {each.name for each in settings}
    ):
        raise UsageError(
            f"a study of a {kind} has no task, and a setting {kind!r} that names what it runs on"
        )
    return Study(
        name=path.stem,
        path=path,
        question=question.strip(),
        method=_LIMITS.sub("", body).strip(),
        limits=" ".join(limits["text"].split()) if limits else "",
        settings=settings,
        shared=shared(function),
        function=function.name,
        **declared,
    )


def _checked_default(setting: Setting) -> None:
    """Raises UsageError for a default that no list could show and no result could keep."""
    try:
        length = len(json.dumps(setting.default, allow_nan=False)) + len(repr(setting.default))
    except (TypeError, ValueError) as error:
        raise UsageError(f"the default of {setting.name!r} cannot be kept: {error}") from None
    if length > _LONGEST_DEFAULT:
        raise UsageError(
            f"the default of {setting.name!r} has more than {_LONGEST_DEFAULT} characters"
        )


def shown(path: Path) -> str:
    """The path as a person would type it: relative where it lies below the working folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _mark(function: ast.FunctionDef) -> ast.Call | None:
    for node in function.decorator_list:
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in DECORATORS:
                return node
    return None


# The second is what the first was called.
DECORATORS = ("study", "experiment")
# What `study` takes for granted where a file does not say.
_SWITCHES = {"default": True, "gated": True, "sweeps": False}
_UNSAID = {**_SWITCHES, "also": None, "cost": USUAL_COST}
# Kinds of models; all but the first are named by a setting that is called like the kind.
KINDS = ("transformer", "classifier")


def _declared(mark: ast.Call, constants: dict[str, Value]) -> dict[str, Any]:
    given = {each.arg: each.value for each in mark.keywords if each.arg}
    kinds: dict[str, tuple[type, ...]] = {
        "expects": (str,),
        "task": (str, type(None)),
        "also": (str, type(None)),
        **dict.fromkeys(_SWITCHES, (bool,)),
        "cost": (int,),
        "model": (str,),
    }
    if mark.args or set(given) - {*kinds, "applies"}:
        names = ", ".join(f"{name}=" for name in (*kinds, "applies"))
        raise UsageError(f"@study takes {names}, by name")
    declared: dict[str, Any] = {**_UNSAID, "model": KINDS[0]}
    for name, kind in kinds.items():
        if name in given:
            declared[name] = literal(given[name], constants, f"{name}= of @study")
        if name not in declared or not isinstance(declared[name], kind):
            raise UsageError(f"@study needs {name}=, written as a literal")
    if declared["model"] not in KINDS:
        raise UsageError(f"model= of @study must be one of {', '.join(KINDS)}")
    return declared


def _constants(tree: ast.Module) -> Iterable[tuple[str, Value]]:
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                continue
        try:
            yield name, ast.literal_eval(value)
        except (ValueError, TypeError):
            continue


def _imports(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def _exists(module: str) -> bool:
    """Whether the module can be found, without importing anything: torch takes seconds."""
    root, *inner = module.split(".")
    if root != "interp":
        return root in sys.modules or importlib.util.find_spec(root) is not None
    place = Path(interp.__file__).parent.joinpath(*inner)
    return (place / "__init__.py").is_file() or place.with_suffix(".py").is_file() or place.is_dir()
