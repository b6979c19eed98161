"""FHIRPath for mapping files: the common forms compiled to closures, everything else given to fhirpathpy.

The compiled subset, over plain dicts as orjson makes them:

    a.b.c            fields; a list on the way is flattened; `value` finds `valueQuantity` (choice types)
    a[0]  first()  last()
    where(x = 'y')  where(x.y = 'z' and u.exists())
    extension('url')
    performed.ofType(Period)   resolve().ofType(Practitioner)
    resolve()        inside the record: relative and absolute references, urn:uuid, #contained, Type?identifier=system|value
    exists()         at the end of a path or inside where()

A name in capitals at the start (`Procedure.code`) is the resource type that the path starts from. Both engines give the same
answers on the subset (tests/properties/test_fhirpath.py). A path is checked when the mapping is loaded; it cannot run long:
its length and nesting are bounded, and functions that repeat, match by regular expression or read the clock are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ptbridge.intake.fhirpath_syntax import (
    CHOICES,
    MAX_LENGTH,
    Condition,
    OutsideSubset,
    Parser,
    PathSyntaxError,
    Step,
    check_brackets,
    shape,
)
from ptbridge.intake.record_index import RecordIndex

__all__ = ["MAX_LENGTH", "Path", "PathEvaluationError", "PathSyntaxError", "compile_path"]

# A step takes (node, index, out) and hands each node that it finds to the next step. The last step of `first` returns the
# node, which ends the search; the last step of `every` appends it to `out` and returns None, which lets the search go on.
Run = Callable[[Any, RecordIndex, list[Any]], Any]
Test = Callable[[Any, RecordIndex], bool]


@dataclass(frozen=True, slots=True)
class Path:
    """A compiled path. `root` is the resource type that it names at its start, or None for a path inside the current item."""

    text: str
    root: str | None
    native: bool  # True: the compiled subset; False: fhirpathpy
    _first: Run
    _every: Run
    plain: tuple[str, ...] = ()  # the field names, where the path is nothing else: readers may walk them without calls
    extension_url: str = ""  # where the path is `extension('url').value`

    def first(self, node: Any, index: RecordIndex) -> Any:
        """The first value at this path under `node`, or None."""
        return self._first(node, index, _NOWHERE)

    def every(self, node: Any, index: RecordIndex) -> list[Any]:
        """All values at this path under `node`."""
        out: list[Any] = []
        self._every(node, index, out)
        return out


_NOWHERE: list[Any] = []  # `first` never appends


def compile_path(text: str) -> Path:
    """Compile a path once; use it for every record. Raises PathSyntaxError."""
    check_brackets(text)
    try:
        root, steps = Parser(text).path()
    except OutsideSubset:
        return _by_fhirpathpy(text)
    plain, url = shape(steps)
    return Path(text, root, True, _chain(steps, _found), _chain(steps, _collect), plain, url)


# ---------------------------------------------------------------- the compiled subset


def _found(node: Any, _index: RecordIndex, _out: list[Any]) -> Any:
    return node


def _collect(node: Any, _index: RecordIndex, out: list[Any]) -> None:
    out.append(node)


def _chain(steps: tuple[Step, ...], last: Run) -> Run:
    """The steps from right to left, each closed over the next."""
    for position in range(len(steps) - 1, -1, -1):
        if steps[position].kind == "index":
            return _indexed(_chain(steps[:position], _collect), steps[position].argument, _chain(steps[position + 1 :], last))
        if steps[position].kind == "exists":
            return _existence(_chain(steps[:position], _found), last)
    run = last
    for step in reversed(steps):
        run = _STEPS[step.kind](step.argument, run)
    return run


def _field(name: str, then: Run) -> Run:
    if name == "value" or name in CHOICES:
        return _choice(name, then)

    def run(node: Any, index: RecordIndex, out: list[Any]) -> Any:
        if node.__class__ is not dict:
            return None
        value = node.get(name)
        if value is None:
            return None
        if value.__class__ is not list:
            return then(value, index, out)
        for inner in value:
            if inner is not None and (found := then(inner, index, out)) is not None:
                return found
        return None

    def leaf(node: Any, index: RecordIndex, out: list[Any]) -> Any:
        value = node.get(name) if node.__class__ is dict else None
        return _each(value, index, out, then) if value.__class__ is list else value

    return leaf if then is _found else run


def _each(values: list[Any], index: RecordIndex, out: list[Any], then: Run) -> Any:
    for value in values:
        if value is not None:
            found = then(value, index, out)
            if found is not None:
                return found
    return None


def _choice(name: str, then: Run) -> Run:
    size = len(name)
    suffixes = tuple(name + suffix for suffix in CHOICES.get(name, ()))

    def run(node: Any, index: RecordIndex, out: list[Any]) -> Any:
        if node.__class__ is not dict:
            return None
        value = node.get(name)
        if value is None:
            for key in suffixes or node:
                if key.startswith(name) and key[size : size + 1].isupper():
                    value = node.get(key)
                    if value is not None:
                        break
        if value is None:
            return None
        if value.__class__ is list:
            return _each(value, index, out, then)
        return then(value, index, out)

    return run


def _typed_field(argument: tuple[str, str], then: Run) -> Run:
    name, type_name = argument
    return _field(name + type_name[:1].upper() + type_name[1:], then)


def _of_type(type_name: str, then: Run) -> Run:
    def run(node: Any, index: RecordIndex, out: list[Any]) -> Any:
        if node.__class__ is dict and node.get("resourceType") == type_name:
            return then(node, index, out)
        return None

    return run


def _extension(url: str, then: Run) -> Run:
    def run(node: Any, index: RecordIndex, out: list[Any]) -> Any:
        if node.__class__ is dict:
            for extension in index.extensions(node).get(url, _NOWHERE):
                if (found := then(extension, index, out)) is not None:
                    return found
        return None

    return run


def _field_extension(argument: tuple[str, str], then: Run) -> Run:
    """A primitive's extensions lie beside it: `status` and `_status`; a list's in a list of the same length."""
    name, url = argument
    extension = _extension(url, then)
    inside = _field(name, extension)
    beside = _field(f"_{name}", extension)

    def run(node: Any, index: RecordIndex, out: list[Any]) -> Any:
        found = inside(node, index, out)
        return beside(node, index, out) if found is None else found

    return run


def _resolve(_argument: None, then: Run) -> Run:
    def run(node: Any, index: RecordIndex, out: list[Any]) -> Any:
        resource = index.resolve(node)
        return None if resource is None else then(resource, index, out)

    return run


def _where(conditions: tuple[Condition, ...], then: Run) -> Run:
    if len(conditions) == 1 and (simple := _simple_equality(conditions[0])):
        name, literal = simple
        one = [literal]

        def run(node: Any, index: RecordIndex, out: list[Any]) -> Any:
            if node.__class__ is dict and ((value := node.get(name)) == literal or value == one):
                return then(node, index, out)
            return None

        return run
    tests = [_test(condition) for condition in conditions]

    def run_all(node: Any, index: RecordIndex, out: list[Any]) -> Any:
        for test in tests:
            if not test(node, index):
                return None
        return then(node, index, out)

    return run_all


def _simple_equality(condition: Condition) -> tuple[str, str] | None:
    """(field, text) of `field = 'text'`; a choice element is not that simple."""
    steps, literal = condition.steps, condition.literal
    if condition.exists or len(steps) != 1 or steps[0].kind != "field" or not isinstance(literal, str):
        return None
    name = steps[0].argument
    return None if name == "value" or name in CHOICES else (name, literal)


def _test(condition: Condition) -> Test:
    if condition.exists:
        if coded := _coded(condition.steps):
            return _has(*coded)
        exists = _chain(condition.steps, _found)
        return lambda node, index: exists(node, index, _NOWHERE) is not None
    every, literal = _chain(condition.steps, _collect), condition.literal

    def equal(node: Any, index: RecordIndex) -> bool:
        out: list[Any] = []
        every(node, index, out)  # FHIRPath compares collections: two values never equal one
        return len(out) == 1 and out[0] == literal and (out[0].__class__ is bool) is (literal.__class__ is bool)

    return equal


def _coded(steps: tuple[Step, ...]) -> tuple[str, str, str, str] | None:
    """The parts of `type.coding.where(code = 'x')`, which mappings ask of every participant, identifier and category."""
    if len(steps) != 3 or steps[2].kind != "where" or len(steps[2].argument) != 1:
        return None
    fields, _ = shape(steps[:2])
    simple = _simple_equality(steps[2].argument[0])
    return (fields[0], fields[1], *simple) if fields and simple else None


def _has(outer: str, inner: str, name: str, literal: str) -> Test:
    """Whether any node at `outer.inner` has this text as `name`: two loops instead of a call for each step."""
    one = [literal]

    def has(node: Any, _index: RecordIndex) -> bool:
        concepts = node.get(outer) if node.__class__ is dict else None
        for concept in concepts if concepts.__class__ is list else (concepts,):
            codings = concept.get(inner) if concept.__class__ is dict else None
            for coding in codings if codings.__class__ is list else (codings,):
                if coding.__class__ is dict and ((value := coding.get(name)) == literal or value == one):
                    return True
        return False

    return has


def _indexed(before: Run, position: int, then: Run) -> Run:
    def run(node: Any, index: RecordIndex, out: list[Any]) -> Any:
        found: list[Any] = []
        before(node, index, found)
        return then(found[position], index, out) if -len(found) <= position < len(found) else None

    return run


def _existence(before: Run, then: Run) -> Run:
    return lambda node, index, out: then(before(node, index, _NOWHERE) is not None, index, out)


_STEPS: dict[str, Callable[[Any, Run], Run]] = {
    "field": _field,
    "typed field": _typed_field,
    "field extension": _field_extension,
    "extension": _extension,
    "ofType": _of_type,
    "resolve": _resolve,
    "where": _where,
}


# ---------------------------------------------------------------- everything else


def _by_fhirpathpy(text: str) -> Path:
    """Everything outside the subset."""
    from ptbridge.intake.fhirpath_full import FullSyntaxError, compile_full  # 0.3 s to import: only when a mapping needs it

    try:
        evaluate = compile_full(text)
    except FullSyntaxError as error:
        raise PathSyntaxError(str(error)) from None

    def every(node: Any, index: RecordIndex, out: list[Any]) -> None:
        try:
            out.extend(evaluate(node, index))
        except Exception as error:  # a path that does not suit the data; whatever it raises
            raise PathEvaluationError(text) from error

    def first(node: Any, index: RecordIndex, _out: list[Any]) -> Any:
        found: list[Any] = []
        every(node, index, found)
        return found[0] if found else None

    match = re.match(r"\s*([A-Z]\w*)\b(?!\()", text)
    return Path(text, match[1] if match else None, False, first, every)


class PathEvaluationError(ValueError):
    """fhirpathpy could not evaluate this path on this record. The text is the path, never the data."""
