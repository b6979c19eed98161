"""Reads all fields of a segment in one function, written for the mapping: what was four calls for each field is a line or two.

For `payer_id: {take: IN1-3}` and `member_id: {take: [IN1-36, IN1-49.2]}` of an IN1, `source` writes

    def read(segment, scope, reading, more):
        row = segment.row(50)
        # coverages.payer_id
        r = row[3]
        if not r.isalnum():
            r = part(r, 1) if r else None
        if r is None:
            v0 = slowly_0(scope, reading) if more else None
        elif r is ODD:
            v0 = slowly_0(scope, reading)
        else:
            v0 = r.strip() or None
        # coverages.member_id
        …
        return (v0, v1)

It reads what is written with the recommended delimiters and needs no rule: no repetition, escape, sub-component or null in
the field. Everything else, paths into other segments and what is to be reported is `Field.read`'s, the slow way, which
`mapping try` shows too; both give the same (tests/properties/test_hl7_sections.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ptbridge.intake.fields import Reading
from ptbridge.intake.hl7.converts import text
from ptbridge.intake.hl7.fields import Field
from ptbridge.intake.hl7.plain_text import ODD, chosen, part
from ptbridge.intake.hl7.record import Scope
from ptbridge.intake.values import Unreadable
from ptbridge.wire.hl7_paths import SegmentPath, Selector
from ptbridge.wire.hl7v2 import RECOMMENDED, Segment

Row = tuple[Any, ...]
_Reader = Callable[[Segment, Scope, Reading, bool], Row]
_EVERY = (Selector(),)


class Section:
    """Fields that are read together from one segment and what its scope adds. `read` gives their values in order."""

    def __init__(self, *fields: Field) -> None:
        self.fields = fields
        self._readers: dict[str, _Reader] = {}

    def read(self, segment: Segment, scope: Scope, reading: Reading, *, more: bool = False) -> Row:
        """The values. `segment` is the first that `scope` finds under its name; `more`: it finds others in other messages."""
        if segment.delimiters.declared != RECOMMENDED or segment.is_header:
            return self.slowly(scope, reading)
        reader = self._readers.get(segment.name)
        if reader is None:
            reader = self._readers[segment.name] = _compiled(self.fields, segment.name)
        return reader(segment, scope, reading, more)

    def slowly(self, scope: Scope, reading: Reading) -> Row:
        """The same, field by field."""
        return tuple([field.read(scope, reading) for field in self.fields])


def _compiled(fields: Sequence[Field], name: str) -> _Reader:
    written, names = source(fields, name)
    exec(compile(written, f"<fields of {name}>", "exec"), names)  # noqa: S102 - written here, from parsed paths alone
    reader: _Reader = names["read"]
    return reader


def source(fields: Sequence[Field], name: str) -> tuple[str, dict[str, Any]]:
    """The function `read` for segments of that name, and what its names stand for."""
    names: dict[str, Any] = {"ODD": ODD, "part": part, "chosen": chosen, "Unreadable": Unreadable}
    lines = [line for number, field in enumerate(fields) for line in _field(number, field, name, names)]
    length = max((path.field for field in fields for path in field.paths if path.segment == name), default=0) + 1
    found = "".join(f"v{number}, " for number in range(len(fields)))
    body = [f"row = segment.row({length})", *lines, f"return ({found})"]
    return "\n".join(["def read(segment, scope, reading, more):", *(f"    {line}" for line in body)]) + "\n", names


def _field(number: int, field: Field, name: str, names: dict[str, Any]) -> list[str]:
    """The lines that leave one field's value in `v<number>`."""
    own = _own_paths(field, name)
    names |= {f"slowly_{number}": field.read, f"convert_{number}": field.convert, f"table_{number}": field.table}
    slowly = f"v{number} = slowly_{number}(scope, reading)"
    if not own:
        return [f"# {field.name}", slowly]
    lines = [f"# {field.name}", *_look(own[0])]
    if len(own) > 1:
        lines += ["if r is None:", "    if more:", "        r = ODD", "    else:"]
        for path in own[1:-1]:
            lines += [f"        {line}" for line in _look(path)] + ["    if r is None:"]
        lines += [f"        {line}" for line in _look(own[-1])]
    absent = slowly if field.spec.required or len(own) < len(field.paths) else f"{slowly} if more else None"
    lines += ["if r is None:", f"    {absent}", "elif r is ODD:", f"    {slowly}"]
    given = "r"
    if field.table is not None:
        given = "w"
        lines += [f"elif (w := table_{number}.get(r)).__class__ is not str:", f"    {slowly}"]
    return [*lines, "else:", *(f"    {line}" for line in _converted(number, field, given))]


def _converted(number: int, field: Field, given: str) -> list[str]:
    if field.convert is text:
        return [f"v{number} = {given}.strip() or None"]
    attempt = ["try:", f"    v{number} = convert_{number}({given}, reading)"]
    return [*attempt, "except Unreadable:", f"    v{number} = slowly_{number}(scope, reading)"]  # which reports it


def _own_paths(field: Field, name: str) -> list[SegmentPath]:
    """The paths that stay in this segment, up to the first that does not."""
    found: list[SegmentPath] = []
    for path in field.paths:
        if path.segment != name or path.which or path.subcomponent != 1 or not (path.plain or _one_repetition(path)):
            break
        found.append(path)
    return found


def _one_repetition(path: SegmentPath) -> bool:
    """Whether a bracket says something that a field without repetitions answers."""
    return path.every_repetition or (len(path.repetition) == 1 and path.repetition[0].part > 0 and not path.is_text)


def _look(path: SegmentPath) -> list[str]:
    """The lines that leave the text of a path in `r`: None where it is absent."""
    selector = path.repetition[0] if path.repetition != _EVERY and path.repetition else None
    lines = [f"r = row[{path.field}]"]
    if selector is not None:
        call = f"chosen(r, {path.component}, {selector.part}, {selector.value!r})"
        return [*lines, f"r = {call} if r else None"]
    call = f"r = part(r, {path.component}) if r else None"
    return [*lines, "if not r.isalnum():", f"    {call}"] if path.component == 1 else [*lines, call]
