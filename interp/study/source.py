"""What the source of a study says, read without importing it, which takes seconds and may do anything."""

import ast
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import interp
from interp.errors import UsageError
from interp.study.ranges import NAMED, Range

# What annotations of settings are made of.
_WORDS: dict[str, Any] = {
    **{each.__name__: each for each in (int, float, str, bool, list, Range)},
    "List": list,
    "Sequence": Sequence,
    "Literal": Literal,
    "Annotated": Annotated,
    **NAMED,
}
_PARTS = (
    *(ast.Name, ast.Constant, ast.Subscript, ast.Tuple, ast.BinOp, ast.BitOr, ast.UnaryOp),
    *(ast.USub, ast.Call, ast.keyword, ast.Load),
)


def decorated(
    tree: ast.Module, decorators: Sequence[str]
) -> list[tuple[ast.FunctionDef, ast.Call]]:
    """The functions that are decorated by a call of one of these names, each with the call."""
    return [
        (node, mark)
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        for mark in node.decorator_list
        if isinstance(mark, ast.Call) and _name(mark.func) in decorators
    ]


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def keywords(
    call: ast.Call, constants: Mapping[str, Any], but: Sequence[str], of: str
) -> dict[str, Any]:
    """The arguments of a call by their names, all literals `but` those of these names, which are left out.

    Raises  UsageError for an argument without a name, and for one that has to be computed.
    """
    if call.args or any(each.arg is None for each in call.keywords):
        raise UsageError(f"{of} takes its arguments by name")
    return {
        each.arg: literal(each.value, constants, f"{each.arg}= of {of}")
        for each in call.keywords
        if each.arg is not None and each.arg not in but
    }


def signature(function: ast.FunctionDef, constants: Mapping[str, Any]) -> inspect.Signature:
    """The function's signature; `constants` are the literals that its file gives names to.

    Raises  UsageError for a default of a setting that has to be computed, and for an annotation of
            one that is of no kind a setting can be.
    """
    every, kinds = function.args, inspect.Parameter
    empty = kinds.empty
    first = [kinds(each.arg, kinds.POSITIONAL_ONLY) for each in every.posonlyargs]
    first += [kinds(each.arg, kinds.POSITIONAL_OR_KEYWORD) for each in every.args]
    for at in range(1, len(every.defaults) + 1):
        first[-at] = first[-at].replace(default=None)
    first += [kinds(every.vararg.arg, kinds.VAR_POSITIONAL)] if every.vararg else []
    settings = [
        kinds(
            each.arg,
            kinds.KEYWORD_ONLY,
            annotation=empty if each.annotation is None else annotation(each.arg, each.annotation),
            default=empty
            if default is None
            else literal(default, constants, f"the default of {each.arg!r}"),
        )
        for each, default in zip(every.kwonlyargs, every.kw_defaults, strict=True)
    ]
    last = [kinds(every.kwarg.arg, kinds.VAR_KEYWORD)] if every.kwarg else []
    return inspect.Signature([*first, *settings, *last])


def annotation(name: str, node: ast.expr) -> Any:
    """What the annotation of this setting means; what it cannot mean stays the text that it is.

    Raises  UsageError for a range that cannot be, or has to be computed.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return annotation(name, ast.parse(node.value, mode="eval").body)
        except SyntaxError:
            return node.value
    calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    known = all(isinstance(each, _PARTS) for each in ast.walk(node)) and names <= set(_WORDS)
    for call in calls:
        for each in (*call.args, *(word.value for word in call.keywords)):
            literal(each, {}, f"the range of {name!r}")
    if not known or any(ast.unparse(call.func) != "Range" for call in calls):
        return ast.unparse(node)
    try:
        return eval(
            compile(ast.Expression(node), "annotation", "eval"), {"__builtins__": {}}, _WORDS
        )
    except UsageError as error:
        raise UsageError(f"the range of {name!r}: {error}") from None
    except TypeError as error:
        if calls:
            raise UsageError(f"the range of {name!r}: {error}") from None
        return ast.unparse(node)


def literal(node: ast.expr, constants: Mapping[str, Any], what: str) -> Any:
    """The value of a literal, or of a name that the file gives to one.

    Raises  UsageError for anything that has to be computed.
    """
    if isinstance(node, ast.Name) and node.id in constants:
        return constants[node.id]
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        raise UsageError(f"{what} must be a literal, got {ast.unparse(node)}") from None


def constants(tree: ast.Module) -> Iterator[tuple[str, Any]]:
    """The names that a file gives to literals."""
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


def missing(tree: ast.Module) -> list[str]:
    """The modules that a file imports and that cannot be found, nothing being imported for that."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return sorted(name for name in names if not _exists(name))


def _exists(module: str) -> bool:
    root, *inner = module.split(".")
    if root != "interp":
        return root in sys.modules or importlib.util.find_spec(root) is not None
    place = Path(interp.__file__).parent.joinpath(*inner)
    return (place / "__init__.py").is_file() or place.with_suffix(".py").is_file() or place.is_dir()
