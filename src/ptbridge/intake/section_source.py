"""Reads all fields of an item in one function, written for the mapping: what was a call or four for each field is a line.

For `sequence: {take: "Procedure.extension('…/sequence').value"}` and `line_key: {take: Procedure.id, required: true}` of a
Procedure, `source` writes

    def read(item, index, reading):
        extensions = index.extensions(item)
        # interventions.sequence
        r = extensions.get('…/sequence')
        if r is not None:
            r = value(r)
        if r.__class__ is list:
            r = first_0_0(item, index)
        v0 = None
        if r is not None:
            try:
                v0 = convert_0(r, reading)
            except Unreadable as error:
                refuse_0(reading, error)
        # interventions.line_key
        r = item.get('id')
        …
        return (v0, v1)

The slow way, `Slot.read`, asks field by field. It reads what is not written here (paths outside the compiled subset, items
that are no structure) and is what `mapping try` shows; both give the same (tests/properties/test_sections.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ptbridge.intake.converts import as_it_stands, text
from ptbridge.intake.fhirpath import Path, PathEvaluationError
from ptbridge.intake.fields import Field, Reading
from ptbridge.intake.record_index import RecordIndex, Resource
from ptbridge.intake.values import Unreadable

Row = tuple[Any, ...]
_Reader = Callable[[Any, RecordIndex, Reading], Row]
_VISIT = "(visit)"  # the variant for the visit's own fields, whose paths start at its one Encounter


class Slot(NamedTuple):
    """A field and what is wanted of it.

    `value`: the first value, converted. `always`: the same, and `convert` is also asked when there is none. `sourced`:
    (value, the path that gave it). `every`: all values of the first path that gives any, as they stand. `key`: the value,
    which names the line in what is found from here on; without one, the name that it has so far.
    """

    field: Field
    want: str = "value"

    def read(self, item: Any, kind: str, reading: Reading) -> Any:
        """The slow way: what is wanted, through the field itself."""
        if self.want == "value":
            return self.field.read(item, kind, reading)
        if self.want == "key":
            reading.line_key = self.field.read(item, kind, reading) or reading.line_key
            return reading.line_key
        try:
            if self.want == "every":
                return self.field.every(item, kind, reading)
            if self.want == "always":
                return self._always(item, kind, reading)
            raw, path = self.field.raw(item, kind, reading)
            if raw is None:
                if self.field.paths:
                    self.field.missing(reading)
                return None, ""
            return self.field.convert(raw, reading), path
        except (Unreadable, PathEvaluationError) as error:
            self.field.refuse(reading, error)
            return [] if self.want == "every" else (None, "") if self.want == "sourced" else None

    def _always(self, item: Any, kind: str, reading: Reading) -> Any:
        fixed = self.field.spec.fixed
        raw = self.field.raw(item, kind, reading)[0] if fixed is None else fixed
        if raw is None:
            self.field.missing(reading)
        return self.field.convert(raw, reading)


class Section:
    """Fields that are read together. `read` gives what each slot wants, in their order."""

    def __init__(self, *slots: Slot) -> None:
        self.slots = slots
        roots = {path.root or "" for slot in slots for path in slot.field.paths if path.native}
        self._readers: dict[str, _Reader | None] = dict.fromkeys({*roots, ""})
        self._visit: _Reader | None = None

    def read(self, item: Any, kind: str, reading: Reading) -> Row:
        """The fields of one item of a group."""
        if item.__class__ is not dict or kind not in self._readers:
            return self.slowly(item, kind, reading)
        reader = self._readers[kind]
        if reader is None:  # written when the first such item is met: a mapping names more kinds than an EMR sends
            reader = self._readers[kind] = _compiled(self.slots, kind)
        return reader(item, reading.index, reading)

    def read_visit(self, reading: Reading) -> Row:
        """The fields of the visit itself."""
        encounters = reading.index.types.get("Encounter", ())
        if len(encounters) != 1:
            return self.slowly(None, "", reading)
        if self._visit is None:
            self._visit = _compiled(self.slots, _VISIT)
        return self._visit(encounters[0], reading.index, reading)

    def slowly(self, item: Any, kind: str, reading: Reading) -> Row:
        """The same, field by field."""
        return tuple([slot.read(item, kind, reading) for slot in self.slots])


def _compiled(slots: Sequence[Slot], kind: str) -> _Reader:
    written, names = source(slots, kind)
    exec(compile(written, f"<section of {kind}>", "exec"), names)  # noqa: S102 - written here, from parsed paths alone
    reader: _Reader = names["read"]
    return reader


def source(slots: Sequence[Slot], kind: str) -> tuple[str, dict[str, Any]]:
    """The function `read` for items of that resource type, and what its names stand for."""
    writer = _Writer(kind)
    for number, slot in enumerate(slots):
        writer.slot(number, slot)
    found = "".join(f"v{number}, " for number in range(len(slots)))
    head = ["    extensions = index.extensions(item)"] if writer.extensions else []
    lines = ["def read(item, index, reading):", *head, *writer.lines, f"    return ({found})"]
    return "\n".join(lines) + "\n", writer.names


class _Writer:
    """Writes the lines of one function."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"Unreadable": Unreadable, "value": _extension_value}
        self.extensions = False
        self._inner: dict[tuple[str, ...], str] = {(): "item"}  # structures on the way, read once for all fields in them

    def slot(self, number: int, slot: Slot) -> None:
        """The lines of one field."""
        field, want, result = slot.field, slot.want, f"v{number}"
        paths = [path for path in field.paths if self._starts_here(path)]
        self._put(f"# {field.name}")
        if field.spec.fixed is not None or not field.paths or not self._writable(field.paths):
            self.names[f"read_{number}"] = slot.read
            start = "None, ''" if self.kind == _VISIT else f"item, {self.kind!r}"
            self._put(f"{result} = read_{number}({start}, reading)")
        elif want == "every":
            self._every(result, number, paths)
        else:
            self._first(number, paths, several=len(field.paths) > 1, sourced=want == "sourced")
            self._converted(result, number, slot, "s" if len(paths) > 1 else repr(paths[0].text if paths else ""))
        if want == "key" and f"read_{number}" not in self.names:
            self._put(f"reading.line_key = {result} = {result} or reading.line_key")

    def _starts_here(self, path: Path) -> bool:
        if self.kind == _VISIT:
            return path.root == "Encounter"
        return path.root is None or path.root == self.kind

    def _writable(self, paths: Sequence[Path]) -> bool:
        """Whether all paths are of the compiled subset and none starts at another resource, which the slow way finds."""
        other = {path.root for path in paths} - {None, "Encounter"} if self.kind == _VISIT else {"Encounter"} - {self.kind}
        return all(path.native and path.root not in other for path in paths)

    def _put(self, line: str, depth: int = 1) -> None:
        self.lines.append("    " * depth + line)

    def _every(self, result: str, number: int, paths: Sequence[Path]) -> None:
        if not paths:
            self._put(f"{result} = []")  # a new one each time
        for place, path in enumerate(paths):
            name = f"every_{number}_{place}"
            self.names[name] = path.every
            if place:
                self._put(f"if not {result}:")
                self._put(f"{result} = {name}(item, index)", 2)
            elif path.extension_url:
                self.extensions = True
                self._put(f"{result} = {name}(item, index) if {path.extension_url!r} in extensions else []")
            else:
                self._put(f"{result} = {name}(item, index)")

    def _first(self, number: int, paths: Sequence[Path], *, several: bool, sourced: bool) -> None:
        """The first value of the first path that gives any; of several paths, an empty text is none."""
        if not paths:
            self._put("r = None")
        for place, path in enumerate(paths):
            name = f"first_{number}_{place}"
            self.names[name] = path.first
            if place:
                self._put("if r is None or r == '':")
                self._put(f"r = {name}(item, index)", 2)
            else:
                self._walk(path, name)
            if sourced and len(paths) > 1:
                self._put(f"s = {path.text!r}", 1 + bool(place))
        if several and paths:
            self._put("if r == '':")
            self._put("r = None", 2)

    def _walk(self, path: Path, name: str) -> None:
        """Fields only: one look for each. A list on the way, or any other path, is for the path's own function."""
        if path.extension_url:
            self.extensions = True
            self._put(f"r = extensions.get({path.extension_url!r})")
            self._put("if r is not None:")
            self._put("r = value(r)", 2)
        elif path.plain:
            before, last = self._structure(path.plain[:-1]), path.plain[-1]
            if before == "item":
                self._put(f"r = item.get({last!r})")
            else:
                other = f"None if {before} is None else {name}(item, index)"
                self._put(f"r = {before}.get({last!r}) if {before}.__class__ is dict else {other}")
        else:
            self._put(f"r = {name}(item, index)")
            return
        self._put("if r.__class__ is list:")
        self._put(f"r = {name}(item, index)", 2)

    def _structure(self, names: tuple[str, ...]) -> str:
        """The variable that holds what these fields lead to; a list on the way stands for itself."""
        if names not in self._inner:
            before = self._structure(names[:-1])
            self._inner[names] = variable = "_".join(("n", *names))
            look = f"{before}.get({names[-1]!r})"
            other = "" if before == "item" else f" if {before}.__class__ is dict else {before}"
            self._put(f"{variable} = {look}{other}")
        return self._inner[names]

    def _converted(self, result: str, number: int, slot: Slot, text_of_path: str) -> None:
        """The raw value `r` as the field wants it, in `result`."""
        field, want = slot.field, slot.want
        self.names |= {f"convert_{number}": field.convert, f"refuse_{number}": field.refuse, f"missing_{number}": field.missing}
        absent = f"missing_{number}(reading)"
        call = f"convert_{number}(r, reading)"
        if field.convert is as_it_stands and want == "value":
            self._put(f"{result} = r")
        elif want == "always":
            if field.spec.required:
                self._put("if r is None:")
                self._put(absent, 2)
            self._put(f"{result} = None")
            self._attempt(result, number, call, 1)
            return
        elif field.ready is not None and want == "value":
            self.names[f"ready_{number}"] = field.ready
            self._put(f"{result} = ready_{number}.get(r) if r.__class__ is str else None")
            self._put(f"if {result} is None and r is not None:")
            self._attempt(result, number, call, 2)
        else:
            self._put(f"{result} = {(None, '') if want == 'sourced' else None!r}")
            self._put("if r is not None:")
            call = f"r.strip() or None if r.__class__ is str else {call}" if field.convert is text else call
            self._attempt(result, number, f"({call}), {text_of_path}" if want == "sourced" else call, 2)
            if field.spec.required and want != "sourced" and not field.spec.lookup:
                self._put("else:", 2)
                self._put(f"if {result} is None:", 3)
                self._put(absent, 4)
        if field.spec.required:
            self._put("if r is None:")
            self._put(absent, 2)

    def _attempt(self, result: str, number: int, call: str, depth: int) -> None:
        self._put("try:", depth)
        self._put(f"{result} = {call}", depth + 1)
        self._put("except Unreadable as error:", depth)
        self._put(f"refuse_{number}(reading, error)", depth + 1)


def _extension_value(extensions: list[Resource] | None) -> Any:
    """The value of the first of these extensions that has one, whatever its type; a list is left to the path itself."""
    for extension in extensions or ():
        value = extension.get("value")
        if value is not None:
            return value
        for key, value in extension.items():
            if key[:5] == "value" and key[5:6].isupper() and value is not None:
                return value
    return None
