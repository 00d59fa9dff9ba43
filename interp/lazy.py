"""Names of a package that are imported when they are first used: `interp --help` needs no torch, and a tab
shows what there is all the same."""

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any


def names(
    package: str, where: Mapping[str, str], modules: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package: `where` says which module holds a name, `modules`
    are modules of the package itself."""
    own = set(modules)

    def found(name: str) -> Any:
        if name in where:
            return getattr(import_module(where[name]), name)
        if name in own:
            return import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def listed() -> list[str]:
        return sorted({*getattr(sys.modules[package], "__all__", ()), *where, *own})

    return found, listed


def every(package: str) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """The `__all__`, `__getattr__` and `__dir__` of a package that offers its modules."""
    modules = sorted(each.name for each in iter_modules(sys.modules[package].__path__))
    return modules, *names(package, {}, modules)
