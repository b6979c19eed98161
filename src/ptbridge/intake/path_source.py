"""Python source for the compiled FHIRPath subset: nested loops in place of a call for each step.

`Encounter.participant.where(type.coding.where(code = 'PPRF').exists()).individual` becomes

    def first(n0, index):
        if n0.__class__ is dict:
            v1 = n0.get('participant')
            for n2 in v1 if v1.__class__ is list else (v1,):
                if n2 is not None:
                    if first_1(n2, index) is not None:
                        ...
                                    return n4

with `first_1` for the condition, and `every`, which gathers where `first` returns. Only parsed steps are written: names that
the parser took as names, and texts and numbers as their `repr`; so nothing of a mapping file can stand there as code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptbridge.intake.fhirpath_syntax import CHOICES, Condition, OutsideSubset, Step
from ptbridge.intake.record_index import RecordIndex

First = Callable[[Any, RecordIndex], Any]
Every = Callable[[Any, RecordIndex], list[Any]]

_MOST_LOOPS = 12  # of one function; Python itself nests 20 at most
_NEED_STRUCTURE = frozenset({"field", "typed field", "field extension", "extension", "ofType"})


def compile_steps(steps: tuple[Step, ...]) -> tuple[First, Every]:
    """(`first`, `every`) of a path's steps. Raises OutsideSubset for more steps than one function can nest."""
    names: dict[str, Any] = {"choice": _choice, "equals": _equals}
    exec(compile(source(steps), "<path>", "exec"), names)  # noqa: S102 - written here, from parsed steps alone
    return names["first"], names["every"]


def source(steps: tuple[Step, ...]) -> str:
    """The functions `first` and `every` of these steps, and those that they need."""
    writer = _Writer()
    writer.first("first", steps)
    writer.every("every", steps)
    return "\n".join(writer.lines) + "\n"


class _Writer:
    """Writes functions; what one of them needs is written before it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._count = 0

    def first(self, name: str, steps: tuple[Step, ...]) -> str:
        """A function that gives the first value under a node, or None."""
        body = _Body(self, "return {}")
        body.walk(steps, "n0", 1, False)
        self.lines += [f"def {name}(n0, index):", *body.lines, "    return None"]
        return name

    def every(self, name: str, steps: tuple[Step, ...]) -> str:
        """A function that gives the list of all values under a node."""
        body = _Body(self, "out.append({})")
        body.walk(steps, "n0", 1, False)
        self.lines += [f"def {name}(n0, index):", "    out = []", *body.lines, "    return out"]
        return name

    def name(self, kind: str) -> str:
        """A name for a function that another one needs."""
        self._count += 1
        return f"{kind}_{self._count}"


class _Body:
    """The lines of one function. `found` is what to do with a node that the last step gives."""

    def __init__(self, writer: _Writer, found: str) -> None:
        self.lines: list[str] = []
        self._writer, self._found = writer, found
        self._variables = self._loops = self._doubled = 0

    def walk(self, steps: tuple[Step, ...], node: str, depth: int, structure: bool) -> None:
        """The steps from this node on; `structure`: the node is known to be a dict."""
        for position in range(len(steps) - 1, -1, -1):
            if steps[position].kind in ("index", "exists"):
                self._cut(steps, position, node, depth)
                return
        if not steps:
            self._put(depth, self._found.format(node))
            return
        step, rest = steps[0], steps[1:]
        if step.kind in _NEED_STRUCTURE and not structure:
            self._put(depth, f"if {node}.__class__ is dict:")
            depth += 1
        getattr(self, "_" + step.kind.replace(" ", "_").lower())(step.argument, node, rest, depth, structure)

    def _put(self, depth: int, line: str) -> None:
        self.lines.append("    " * depth + line)

    def _variable(self, kind: str) -> str:
        self._variables += 1
        return f"{kind}{self._variables}"

    def _each(self, values: str, rest: tuple[Step, ...], depth: int, structures: bool) -> None:
        """The rest of the steps for each of some values."""
        self._loops += 1
        if self._loops > _MOST_LOOPS:
            raise OutsideSubset
        node = self._variable("n")
        self._put(depth, f"for {node} in {values}:")
        if structures:
            self.walk(rest, node, depth + 1, True)
        elif rest and rest[0].kind in _NEED_STRUCTURE:
            self.walk(rest, node, depth + 1, False)
        else:
            self._put(depth + 1, f"if {node} is not None:")
            self.walk(rest, node, depth + 2, False)

    def _cut(self, steps: tuple[Step, ...], position: int, node: str, depth: int) -> None:
        """An index or `exists()` asks for what all steps before it give."""
        step, before, rest = steps[position], steps[:position], steps[position + 1 :]
        inner = self._variable("n")
        if step.kind == "exists":
            first = self._writer.first(self._writer.name("first"), before)
            self._put(depth, f"{inner} = {first}({node}, index) is not None")
            self.walk(rest, inner, depth, False)
            return
        every, found = self._writer.every(self._writer.name("every"), before), self._variable("v")
        self._put(depth, f"{found} = {every}({node}, index)")
        self._put(depth, f"if len({found}) > {max(step.argument, 0)}:")
        self._put(depth + 1, f"{inner} = {found}[{step.argument!r}]")
        self.walk(rest, inner, depth + 1, False)

    def _field(self, name: str, node: str, rest: tuple[Step, ...], depth: int, _structure: bool) -> None:
        value = self._variable("v")
        known = f"choice({node}, {name!r})" if name == "value" or name in CHOICES else f"{node}.get({name!r})"
        self._put(depth, f"{value} = {known}")
        self._each(f"{value} if {value}.__class__ is list else ({value},)", rest, depth, False)

    def _typed_field(self, argument: tuple[str, str], node: str, rest: tuple[Step, ...], depth: int, _structure: bool) -> None:
        name, type_name = argument
        self._field(name + type_name[:1].upper() + type_name[1:], node, rest, depth, True)

    def _extension(self, url: str, node: str, rest: tuple[Step, ...], depth: int, _structure: bool) -> None:
        self._each(f"index.extensions({node}).get({url!r}, ())", rest, depth, True)

    def _field_extension(
        self, argument: tuple[str, str], node: str, rest: tuple[Step, ...], depth: int, _structure: bool
    ) -> None:
        """A primitive's extensions lie beside it: `status` and `_status`; a list's in a list of the same length."""
        self._doubled += 1
        if self._doubled > 1:
            raise OutsideSubset
        name, url = argument
        for written in (name, f"_{name}"):
            loops = self._loops
            self._field(written, node, (Step("extension", url), *rest), depth, True)
            self._loops = loops

    def _oftype(self, type_name: str, node: str, rest: tuple[Step, ...], depth: int, _structure: bool) -> None:
        self._put(depth, f"if {node}.get('resourceType') == {type_name!r}:")
        self.walk(rest, node, depth + 1, True)

    def _resolve(self, _argument: None, node: str, rest: tuple[Step, ...], depth: int, _structure: bool) -> None:
        resource = self._variable("n")
        self._put(depth, f"{resource} = index.resolve({node})")
        self._put(depth, f"if {resource} is not None:")
        self.walk(rest, resource, depth + 1, True)

    def _where(self, conditions: tuple[Condition, ...], node: str, rest: tuple[Step, ...], depth: int, structure: bool) -> None:
        for condition in conditions:
            if (simple := _simple_equality(condition)) is not None:
                if not structure:
                    self._put(depth, f"if {node}.__class__ is dict:")
                    depth, structure = depth + 1, True
                value, literal = self._variable("v"), simple[1]
                self._put(depth, f"{value} = {node}.get({simple[0]!r})")
                self._put(depth, f"if {value} == {literal!r} or ({value}.__class__ is list and {value} == [{literal!r}]):")
            else:
                self._put(depth, f"if {self._test(condition, node)}:")
            depth += 1
        self.walk(rest, node, depth, structure)

    def _test(self, condition: Condition, node: str) -> str:
        if condition.exists:
            return f"{self._writer.first(self._writer.name('first'), condition.steps)}({node}, index) is not None"
        every = self._writer.every(self._writer.name("every"), condition.steps)
        return f"equals({every}({node}, index), {condition.literal!r})"


def _simple_equality(condition: Condition) -> tuple[str, str] | None:
    """(field, text) of `field = 'text'`; a choice element is not that simple."""
    steps, literal = condition.steps, condition.literal
    if condition.exists or len(steps) != 1 or steps[0].kind != "field" or not isinstance(literal, str):
        return None
    name = steps[0].argument
    return None if name == "value" or name in CHOICES else (name, literal)


def _equals(found: list[Any], literal: Any) -> bool:
    """FHIRPath compares collections: two values never equal one."""
    return len(found) == 1 and found[0] == literal and (found[0].__class__ is bool) is (literal.__class__ is bool)


_SUFFIXES = {name: tuple(name + suffix for suffix in suffixes) for name, suffixes in CHOICES.items()}


def _choice(node: dict[str, Any], name: str) -> Any:
    """The value of a choice element, whatever its type: `value` is `valueQuantity`, `valueInteger` …"""
    value = node.get(name)
    if value is None:
        size = len(name)
        for key in _SUFFIXES.get(name) or node:
            if key.startswith(name) and key[size : size + 1].isupper():
                value = node.get(key)
                if value is not None:
                    break
    return value
