"""Which studies there are: files of the experiments folder, read without being imported."""

import ast
import importlib.util
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
from interp.study import source
from interp.study.declaration import KINDS, Declaration, declaration_of, declare
from interp.study.ranges import SHARED
from interp.study.settings import Setting, of
from interp.visible import one_line

# The second is what the first was called.
DECORATORS = ("study", "experiment")
_LARGEST = 4 << 20
# The paragraph `Limits` of a docstring: its line and the indented ones below.
_LIMITS = re.compile(r"^Limits\b(?P<text>.*(?:\n[ \t].*|\n(?=\n[ \t]))*)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study(Declaration):
    """What the source of one study says: enough to list it and to read its command line.

    `shared` are those of `seed` and `n` that its function asks for.
    """

    name: str
    path: Path
    question: str
    method: str
    limits: str
    settings: tuple[Setting, ...]
    shared: tuple[str, ...]
    function: str

    def load(self) -> Callable[..., Any]:
        """The function that `@study` marked; this imports the file.

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
        function: Callable[..., Any] | None = getattr(module, self.function, None)
        if function is None or declaration_of(function) is None:
            raise InterpError(f"{self.path} no longer holds the experiment {self.function!r}")
        return function


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
    marked = source.decorated(tree, DECORATORS)
    if len(marked) != 1:
        raise UsageError(f"expected one function decorated with @study(…), got {len(marked)}")
    for module in source.missing(tree):
        raise UsageError(f"imports {module!r}, which is not installed")
    function, mark = marked[0]
    constants = dict(source.constants(tree))
    declared = source.keywords(mark, constants, ("applies",), "@study")
    found = declare(declared)
    settings = of(source.signature(function, constants), function.name)
    own = tuple(each for each in settings if each.name not in SHARED)
    if found.model != KINDS[0] and (
        found.task is not None or found.model not in {each.name for each in own}
    ):
        raise UsageError(
            f"a study of a {found.model} has no task, and a setting {found.model!r} that names what "
            "it runs on"
        )
    question, _, body = docstring.partition("\n")
    limits = _LIMITS.search(body)
    return Study(
        name=path.stem,
        path=path,
        question=question.strip(),
        method=_LIMITS.sub("", body).strip(),
        limits=" ".join(limits["text"].split()) if limits else "",
        settings=own,
        shared=tuple(each.name for each in settings if each.name in SHARED),
        function=function.name,
        **declared,
    )


def shown(path: Path) -> str:
    """The path as a person would type it: relative where it lies below the working folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
