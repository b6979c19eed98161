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
from typing import Any, NamedTuple

from ptbridge.intake.record_index import RecordIndex

MAX_LENGTH = 400
MAX_NESTING = 8

# Choice elements of the R4 resources that visits use; `value` is found by its prefix, because it has fifty types.
CHOICES = {
    "performed": ("DateTime", "Period", "String", "Age", "Range"),
    "onset": ("DateTime", "Period", "String", "Age", "Range"),
    "abatement": ("DateTime", "Period", "String", "Age", "Range"),
    "effective": ("DateTime", "Period", "Timing", "Instant"),
    "occurrence": ("DateTime", "Period", "Timing"),
    "product": ("Reference", "CodeableConcept"),
    "deceased": ("Boolean", "DateTime"),
    "multipleBirth": ("Boolean", "Integer"),
}

# A step takes (node, index, out) and hands each node that it finds to the next step. The last step of `first` returns the
# node, which ends the search; the last step of `every` appends it to `out` and returns None, which lets the search go on.
Run = Callable[[Any, RecordIndex, list[Any]], Any]
Test = Callable[[Any, RecordIndex], bool]


class PathSyntaxError(ValueError):
    """A path that cannot be read; the message says at which character and what to write instead."""


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
    _check_brackets(text)
    try:
        root, steps = _Parser(text).path()
    except _OutsideSubset:
        return _by_fhirpathpy(text)
    plain, url = _shape(steps)
    return Path(text, root, True, _chain(steps, _found), _chain(steps, _collect), plain, url)


# ---------------------------------------------------------------- reading a path


class _Step(NamedTuple):
    """One step: its kind and its argument (a name, a URL, an index, a condition)."""

    kind: str
    argument: Any = None


class _Condition(NamedTuple):
    """`steps = literal`, or `steps.exists()` when `exists` is set."""

    steps: tuple[_Step, ...]
    literal: Any = None
    exists: bool = False


class _OutsideSubset(Exception):
    """Valid FHIRPath perhaps, but not ours to compile."""


_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_]\w*)|(?P<text>'[^'\\]*')|(?P<number>\d+)|(?P<sign>[.()\[\]=]))")


class _Parser:
    """Reads the subset; anything else is `_OutsideSubset`."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        position, text = 0, text.strip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise _OutsideSubset
            self.tokens.append(match[0].strip())
            position = match.end()
        self.at = 0

    def path(self) -> tuple[str | None, tuple[_Step, ...]]:
        """The whole text as (root, steps)."""
        root = None
        if self.peek()[:1].isupper():
            root = self.take()
            if self.peek():
                self.expect(".")
        steps = self.steps() if self.peek() or root is None else ()
        if self.peek():
            raise _OutsideSubset
        return root, steps

    def steps(self) -> tuple[_Step, ...]:
        steps: list[_Step] = []
        while True:
            steps.extend(self.step())
            if self.peek() != ".":
                break
            self.take()
        if any(step.kind == "exists" for step in steps[:-1]):
            raise _OutsideSubset
        return _fuse(steps)

    def step(self) -> list[_Step]:
        name = self.take()
        if not name[:1].isalpha():
            raise _OutsideSubset
        step = self.call(name) if self.peek() == "(" else _Step("field", name)
        if self.peek() != "[":
            return [step]
        self.take()
        number = self.take()
        if not number.isdigit():
            raise _OutsideSubset
        self.expect("]")
        return [step, _Step("index", int(number))]

    def call(self, name: str) -> _Step:
        self.expect("(")
        argument: Any = None
        if name == "where":
            argument = self.conditions()
        elif name == "extension":
            argument = self.literal()
            if not isinstance(argument, str):
                raise _OutsideSubset
        elif name == "ofType":
            argument = self.take()
        elif name == "first":
            name, argument = "index", 0
        elif name == "last":
            name, argument = "index", -1
        elif name not in ("resolve", "exists"):
            raise _OutsideSubset
        self.expect(")")
        return _Step(name, argument)

    def conditions(self) -> tuple[_Condition, ...]:
        found = [self.condition()]
        while self.peek() == "and":
            self.take()
            found.append(self.condition())
        return tuple(found)

    def condition(self) -> _Condition:
        steps = self.steps()
        if steps[-1].kind == "exists":
            return _Condition(steps[:-1], exists=True) if steps[:-1] else _Condition((), exists=True)
        self.expect("=")
        return _Condition(steps, self.literal())

    def literal(self) -> Any:
        word = self.take()
        if word[0] == "'":
            return word[1:-1]
        if word in ("true", "false"):
            return word == "true"
        if word.isdigit():
            return int(word)
        raise _OutsideSubset

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        if not token:
            raise _OutsideSubset
        self.at += 1
        return token

    def expect(self, sign: str) -> None:
        if self.take() != sign:
            raise _OutsideSubset


def _fuse(steps: list[_Step]) -> tuple[_Step, ...]:
    """`performed.ofType(Period)` is the field performedPeriod; `status.extension(…)` lies beside the field, in `_status`."""
    fused: list[_Step] = []
    for step in steps:
        before = fused[-1] if fused else None
        if step.kind == "ofType" and before and before.kind == "field":
            fused[-1] = _Step("typed field", (before.argument, step.argument))
        elif step.kind == "extension" and before and before.kind == "field":
            fused[-1] = _Step("field extension", (before.argument, step.argument))
        else:
            fused.append(step)
    return tuple(fused)


def _check_brackets(text: str) -> None:
    """fhirpathpy takes `name.where(use='x'` without a word and finds nothing; so quotes and brackets are checked here."""
    if not text.strip():
        raise PathSyntaxError("the path is empty. Write one, or remove it.")
    if len(text) > MAX_LENGTH:
        raise PathSyntaxError(f"the path has {len(text)} characters; at most {MAX_LENGTH} are read.")
    pairs, stack, quoted, skip = {")": "(", "]": "[", "}": "{"}, "", "", False
    for position, char in enumerate(text, start=1):
        if skip:
            skip = False
        elif quoted:
            skip = char == "\\"
            quoted = "" if char == quoted else quoted
        elif char in "'`\"":
            quoted = char
        elif char in "([{":
            stack += char
            if len(stack) > MAX_NESTING:
                raise PathSyntaxError(f"brackets nested deeper than {MAX_NESTING} at character {position}.")
        elif char in pairs:
            if not stack.endswith(pairs[char]):
                raise PathSyntaxError(f"{char!r} at character {position} closes nothing. Remove it, or open it before.")
            stack = stack[:-1]
    if quoted or stack:
        raise PathSyntaxError(f"{(quoted or stack[-1])!r} is never closed. Close it.")


def _shape(steps: tuple[_Step, ...]) -> tuple[tuple[str, ...], str]:
    """(field names, '') of a path of fields only; ((), url) of `extension(url).value`; ((), '') of any other."""
    if len(steps) == 2 and steps[0].kind == "extension" and steps[1] == _Step("field", "value"):
        return (), steps[0].argument
    choices = {"value", *CHOICES}
    if all(step.kind == "field" and step.argument not in choices for step in steps):
        return tuple(step.argument for step in steps), ""
    return (), ""


# ---------------------------------------------------------------- the compiled subset


def _found(node: Any, _index: RecordIndex, _out: list[Any]) -> Any:
    return node


def _collect(node: Any, _index: RecordIndex, out: list[Any]) -> None:
    out.append(node)


def _chain(steps: tuple[_Step, ...], last: Run) -> Run:
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


def _where(conditions: tuple[_Condition, ...], then: Run) -> Run:
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


def _simple_equality(condition: _Condition) -> tuple[str, str] | None:
    """(field, text) of `field = 'text'`; a choice element is not that simple."""
    steps, literal = condition.steps, condition.literal
    if condition.exists or len(steps) != 1 or steps[0].kind != "field" or not isinstance(literal, str):
        return None
    name = steps[0].argument
    return None if name == "value" or name in CHOICES else (name, literal)


def _test(condition: _Condition) -> Test:
    if condition.exists:
        exists = _chain(condition.steps, _found)
        return lambda node, index: exists(node, index, _NOWHERE) is not None
    every, literal = _chain(condition.steps, _collect), condition.literal

    def equal(node: Any, index: RecordIndex) -> bool:
        out: list[Any] = []
        every(node, index, out)  # FHIRPath compares collections: two values never equal one
        return len(out) == 1 and out[0] == literal and (out[0].__class__ is bool) is (literal.__class__ is bool)

    return equal


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
