"""Reads a FHIRPath into steps, as far as the compiled subset goes, and checks the brackets of any path."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

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


class PathSyntaxError(ValueError):
    """A path that cannot be read; the message says at which character and what to write instead."""


class Step(NamedTuple):
    """One step: its kind and its argument (a name, a URL, an index, a condition)."""

    kind: str
    argument: Any = None


class Condition(NamedTuple):
    """`steps = literal`, or `steps.exists()` when `exists` is set."""

    steps: tuple[Step, ...]
    literal: Any = None
    exists: bool = False


class OutsideSubset(Exception):
    """Valid FHIRPath perhaps, but not ours to compile."""


_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z_]\w*)|(?P<text>'[^'\\]*')|(?P<number>\d+)|(?P<sign>[.()\[\]=]))")


class Parser:
    """Reads the subset; anything else is `OutsideSubset`."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        position, text = 0, text.strip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise OutsideSubset
            self.tokens.append(match[0].strip())
            position = match.end()
        self.at = 0

    def path(self) -> tuple[str | None, tuple[Step, ...]]:
        """The whole text as (root, steps)."""
        root = None
        if self.peek()[:1].isupper():
            root = self.take()
            if self.peek():
                self.expect(".")
        steps = self.steps() if self.peek() or root is None else ()
        if self.peek():
            raise OutsideSubset
        return root, steps

    def steps(self) -> tuple[Step, ...]:
        """Steps up to the end of the path or of the bracket that it stands in."""
        steps: list[Step] = []
        while True:
            steps.extend(self.step())
            if self.peek() != ".":
                break
            self.take()
        if any(step.kind == "exists" for step in steps[:-1]):
            raise OutsideSubset
        return _fuse(steps)

    def step(self) -> list[Step]:
        """A field or a call, with an index behind it if there is one."""
        name = self.take()
        if not name[:1].isalpha():
            raise OutsideSubset
        step = self.call(name) if self.peek() == "(" else Step("field", name)
        if self.peek() != "[":
            return [step]
        self.take()
        number = self.take()
        if not number.isdigit():
            raise OutsideSubset
        self.expect("]")
        return [step, Step("index", int(number))]

    def call(self, name: str) -> Step:
        """The brackets of a call and what stands in them."""
        self.expect("(")
        argument: Any = None
        if name == "where":
            argument = self.conditions()
        elif name == "extension":
            argument = self.literal()
            if not isinstance(argument, str):
                raise OutsideSubset
        elif name == "ofType":
            argument = self.take()
        elif name == "first":
            name, argument = "index", 0
        elif name == "last":
            name, argument = "index", -1
        elif name not in ("resolve", "exists"):
            raise OutsideSubset
        self.expect(")")
        return Step(name, argument)

    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of where(), joined by `and`."""
        found = [self.condition()]
        while self.peek() == "and":
            self.take()
            found.append(self.condition())
        return tuple(found)

    def condition(self) -> Condition:
        """One condition."""
        steps = self.steps()
        if steps[-1].kind == "exists":
            return Condition(steps[:-1], exists=True) if steps[:-1] else Condition((), exists=True)
        self.expect("=")
        return Condition(steps, self.literal())

    def literal(self) -> Any:
        """A text, true, false or a whole number."""
        word = self.take()
        if word[0] == "'":
            return word[1:-1]
        if word in ("true", "false"):
            return word == "true"
        if word.isdigit():
            return int(word)
        raise OutsideSubset

    def peek(self) -> str:
        """The next token, empty at the end."""
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        """The next token, taken."""
        token = self.peek()
        if not token:
            raise OutsideSubset
        self.at += 1
        return token

    def expect(self, sign: str) -> None:
        """Take this sign, or leave the subset."""
        if self.take() != sign:
            raise OutsideSubset


def _fuse(steps: list[Step]) -> tuple[Step, ...]:
    """`performed.ofType(Period)` is the field performedPeriod; `status.extension(…)` lies beside the field, in `_status`."""
    fused: list[Step] = []
    for step in steps:
        before = fused[-1] if fused else None
        if step.kind == "ofType" and before and before.kind == "field":
            fused[-1] = Step("typed field", (before.argument, step.argument))
        elif step.kind == "extension" and before and before.kind == "field":
            fused[-1] = Step("field extension", (before.argument, step.argument))
        else:
            fused.append(step)
    return tuple(fused)


def check_brackets(text: str) -> None:
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


def shape(steps: tuple[Step, ...]) -> tuple[tuple[str, ...], str]:
    """(field names, '') of a path of fields only; ((), url) of `extension(url).value`; ((), '') of any other."""
    if len(steps) == 2 and steps[0].kind == "extension" and steps[1] == Step("field", "value"):
        return (), steps[0].argument
    choices = {"value", *CHOICES}
    if all(step.kind == "field" and step.argument not in choices for step in steps):
        return tuple(step.argument for step in steps), ""
    return (), ""
