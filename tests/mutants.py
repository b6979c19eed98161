"""Small wrong changes of a Python file, one at a time: what `tests.mutate` asks the tests to notice.

Each mutant is named by its file, its function and the change in words, so that a name outlives a moved line. Left alone:
annotations, decorators, asserts, docstrings, messages (f-strings and what is raised), imports and `__all__`.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_WORD = re.compile(r"[\w./-]+")  # settings, codes and modifiers; a text with blanks is prose
_SHOWN = 100  # characters of a change
_AROUND = 24
_LEFT_ALONE = (ast.JoinedStr, ast.Assert, ast.Import, ast.ImportFrom, ast.arg)
_NOT_WALKED = {"annotation", "returns", "decorator_list", "type_comment"}
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPOUND = (
    *_FUNCTION,
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.With,
    ast.AsyncWith,
    ast.Try,
    ast.ClassDef,
    ast.Module,
    ast.Match,
    ast.match_case,
)
_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_CALLED = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}
_EMPTY = {"str": "''", "list": "[]", "dict": "{}", "tuple": "()", "int": "0", "frozenset": "frozenset()", "bytes": "b''"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change. `function` is the outermost function around it; empty where the change takes effect on import."""

    path: Path
    place: int  # how many changes of the file come before it
    function: str
    line: int
    end_line: int
    name: str


@dataclass(slots=True)
class _Site:
    function: str
    node: ast.AST
    words: str
    change: Callable[[], None]


def mutants_of(path: Path, shown: str) -> list[Mutant]:
    """Every mutant of a file, in the order of its text. `shown` is the file's name in the mutants' names."""
    seen: Counter[str] = Counter()
    found: list[Mutant] = []
    for place, site in enumerate(_sites(ast.parse(path.read_text(encoding="utf-8")))):
        name = f"{shown} {site.function or 'on import'}: {site.words}"
        seen[name] += 1
        again = f" ({seen[name]})" if seen[name] > 1 else ""
        found.append(Mutant(path, place, site.function, *_lines(site.node), name + again))
    return found


def mutated(mutant: Mutant) -> ast.Module:
    """The file's syntax tree with the change made."""
    tree = ast.parse(mutant.path.read_text(encoding="utf-8"))
    for place, site in enumerate(_sites(tree)):
        if place == mutant.place:
            site.change()
            return ast.fix_missing_locations(tree)
    raise ValueError(f"{mutant.name}: the file has changed since the mutants were listed")


def _lines(node: ast.AST) -> tuple[int, int]:
    """First and last line; of an `if` or another statement with a body, those of its condition."""
    if isinstance(node, ast.comprehension):
        return node.target.lineno, node.ifs[-1].end_lineno or node.target.lineno
    last = node.test if isinstance(node, ast.If) else node
    return getattr(node, "lineno", 0), getattr(last, "end_lineno", 0)


def _sites(tree: ast.Module) -> Iterator[_Site]:
    yield from _children(tree, "", "", None)


def _children(node: ast.AST, function: str, inside: str, returns: ast.expr | None, *, on_import: str = "") -> Iterator[_Site]:
    """The changes below a node. What stands in its field `on_import` (a function's defaults) takes effect on import."""
    for name, value in list(ast.iter_fields(node)):
        if name in _NOT_WALKED:
            continue
        where = "" if name == on_import else function
        if isinstance(value, list):
            for index, child in enumerate(value):
                if isinstance(child, ast.AST):
                    yield from _at(child, node, _into_list(value, index), where, inside, returns)
        elif isinstance(value, ast.AST):
            yield from _at(value, node, _into_field(node, name), where, inside, returns)


def _into_list(items: list[ast.AST], index: int) -> Callable[[ast.AST], None]:
    def put(new: ast.AST) -> None:
        items[index] = new

    return put


def _into_field(node: ast.AST, name: str) -> Callable[[ast.AST], None]:
    return lambda new: setattr(node, name, new)


def _at(
    node: ast.AST, parent: ast.AST, put: Callable[[ast.AST], None], function: str, inside: str, returns: ast.expr | None
) -> Iterator[_Site]:
    if _left_alone(node, parent):
        return
    for new in _changes(node, returns):
        ast.copy_location(new, node)
        yield _Site(function, node, _words(node, parent, put, new), _changing(put, new))
    if isinstance(node, ast.ClassDef) and not function:
        yield from _children(node, "", f"{inside}{node.name}.", None)
    elif isinstance(node, _FUNCTION):
        defaults = "" if function else "args"  # an inner function's are computed when the outer one runs
        yield from _children(node, function or f"{inside}{node.name}", inside, node.returns, on_import=defaults)
    elif not isinstance(node, ast.Raise):
        yield from _children(node, function, inside, returns)


def _changing(put: Callable[[ast.AST], None], new: ast.AST) -> Callable[[], None]:
    return lambda: put(new)


def _left_alone(node: ast.AST, parent: ast.AST) -> bool:
    if isinstance(node, _LEFT_ALONE):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id.startswith("__"):
        return True
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal"


def _changes(node: ast.AST, returns: ast.expr | None) -> Iterator[ast.AST]:
    """What may stand in the node's place."""
    if isinstance(node, ast.stmt):
        yield from _statements(node, returns)
    elif isinstance(node, ast.Compare):
        for index, op in enumerate(node.ops):
            for other in _COMPARED[type(op)]:
                yield ast.Compare(node.left, [*node.ops[:index], other(), *node.ops[index + 1 :]], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in _COMPUTED:
        yield ast.BinOp(node.left, _COMPUTED[type(node.op)](), node.right)
    elif isinstance(node, ast.Constant):
        yield from map(ast.Constant, _values(node.value))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLED:
        kept = [] if node.func.id == "sorted" else node.keywords
        yield ast.Call(ast.Name(_CALLED[node.func.id], ast.Load()), node.args, kept)
    elif isinstance(node, ast.IfExp):
        yield from (ast.IfExp(test, node.body, node.orelse) for test in _turned(node.test))
    elif isinstance(node, ast.comprehension):
        for index in range(len(node.ifs)):
            kept_ifs = [*node.ifs[:index], *node.ifs[index + 1 :]]
            yield ast.comprehension(node.target, node.iter, kept_ifs, node.is_async)


def _statements(node: ast.stmt, returns: ast.expr | None) -> Iterator[ast.AST]:
    if isinstance(node, ast.If):
        yield from (ast.If(test, node.body, node.orelse) for test in _turned(node.test))
    elif isinstance(node, ast.Return) and node.value is not None:
        empty = ast.parse(_nothing(returns), mode="eval").body
        if ast.dump(empty) != ast.dump(node.value):
            yield ast.Return(empty)
    elif isinstance(node, ast.Expr | ast.AugAssign | ast.Continue | ast.Break | ast.Raise):
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom)):
            yield ast.Pass()
    elif isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name | ast.Tuple):
        yield ast.Pass()


def _turned(test: ast.expr) -> Iterator[ast.expr]:
    """The condition's contrary, where no change of its own parts says the same."""
    if not isinstance(test, ast.Compare) and not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
        yield ast.UnaryOp(ast.Not(), test)


def _nothing(returns: ast.expr | None) -> str:
    text = "" if returns is None else ast.unparse(returns)
    return _EMPTY.get(text.partition("[")[0], "None")


def _values(value: object) -> list[bool | int | str]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    return [f"not {value}"] if isinstance(value, str) and _WORD.fullmatch(value) else []


def _words(node: ast.AST, parent: ast.AST, put: Callable[[ast.AST], None], new: ast.AST) -> str:
    """The change as it reads, with what stands around it."""
    if isinstance(node, ast.If):
        return f"if {_cut(ast.unparse(node.test))} -> if {_cut(ast.unparse(new.test))}"  # type: ignore[attr-defined]
    around = node if isinstance(parent, _COMPOUND) or isinstance(node, ast.stmt) else parent
    before = ast.unparse(around)
    if around is node:
        after = ast.unparse(new)
    else:
        put(new)
        after = ast.unparse(parent)
        put(node)
    return _difference(before, after)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _difference(before: str, after: str) -> str:
    before, after = " ".join(before.split()), " ".join(after.split())
    if len(before) + len(after) <= _SHOWN:
        return f"{before} -> {after}"
    same = next((at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), 0)
    tail = next((at for at, (one, other) in enumerate(zip(before[::-1], after[::-1], strict=False)) if one != other), 0)
    tail = min(tail, len(before) - same, len(after) - same)
    head, rest = max(0, same - _AROUND), max(0, tail - _AROUND)
    parts = [text[head : len(text) - rest] for text in (before, after)]
    return " -> ".join(f"{'…' if head else ''}{_cut(part)}{'…' if rest else ''}" for part in parts)
