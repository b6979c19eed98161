"""A mapping's fields compiled for HL7 v2: each becomes a function from a scope to a value of our own type.

The first path that gives a value wins. With a look-up table, the first path that gives a word of the table: modifiers and
departments share a field list, and a word that is in no table is reported only when no other path helps. A null (two
quotation marks) in the newest message that has the segment ends the search: the sender deleted the value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from ptbridge.errors import ConfigError
from ptbridge.intake.fields import Reading
from ptbridge.intake.hl7.plain_text import ODD, part
from ptbridge.intake.hl7.record import LENGTH, LineScope, Scope
from ptbridge.intake.values import Unreadable
from ptbridge.model import Severity
from ptbridge.specs.mapping import FieldSpec, LookupTable, Mapping, texts
from ptbridge.wire.hl7_paths import PathSyntaxError, SegmentPath, compile_path
from ptbridge.wire.hl7v2 import RECOMMENDED

Convert = Callable[[str, Reading], Any]


class Field:
    """A compiled field. `read` gives the first value, converted; `first` the text as it stands, and its path."""

    __slots__ = ("_grave", "_known", "_of_line", "_others", "_own", "_text_of", "convert", "name", "paths", "spec", "table")

    def __init__(self, mapping: Mapping, section: str, name: str, convert: Convert, *, grave: bool = True) -> None:
        self.spec: FieldSpec = getattr(getattr(mapping.spec, section), name) or FieldSpec()
        self.name = f"{section}.{name}"
        self.paths = tuple(compile_take(mapping, section, name, text) for text in texts(self.spec.take))
        self.table: LookupTable | None = mapping.spec.lookups.get(self.spec.lookup) if self.spec.lookup else None
        self.convert, self._grave = convert, grave
        own = self.paths[0] if self.paths else None
        self._own = own.field if own is not None and own.segment == "FT1" and not own.which and own.field < LENGTH else 0
        self._of_line = own if own is not None and own.plain and own.segment in ("FT1", "PR1") else None
        self._others = self.paths[1:] if self._own else self.paths
        self._text_of: Callable[[list[str]], tuple[str, str]] = itemgetter(self._own, 0)
        self._known: dict[tuple[str, str], Any] = {}

    def read(self, scope: Scope, reading: Reading) -> Any:
        """The value; None when it is absent, deleted, unreadable (reported) or in no table (reported)."""
        if not self.paths:
            return self._without_path(reading)
        if not self._own or scope.__class__ is not LineScope:
            return self._read(scope, reading, self.paths)[0]
        # The same text in the line's own field means the same again.
        key = self._text_of(scope.row)
        value = self._known.get(key)
        if value is None:
            value, path = self._read(scope, reading, self.paths if key[0] else self._others)
            if value is not None and path is self.paths[0]:
                remember(self._known, key, value)
        return value

    def first(self, scope: Scope) -> tuple[str | None, str]:
        """(text as it stands, path that gave it); (None, '') when no path gives one."""
        own = self._of_line
        if own is not None and scope.__class__ is LineScope:  # mostly the line's first path gives it
            found = scope.procedures if own.segment == "PR1" else (scope.group.head,)
            value = found[0].value(own.field, own.component, own.subcomponent) if found else None
            if value is not None:
                return value, own.text
        value, path = self._first(scope, self.paths)
        return value, path.text if path is not None else ""

    def each_of(self, scopes: Sequence[LineScope], reading: Reading) -> list[Any]:
        """The value of each of these lines, which are of one message."""
        if not self._own or not scopes:
            return [self.read(scope, reading) for scope in scopes]
        rows = [scope.row for scope in scopes]
        value = self._known.get(self._text_of(rows[0])) if self._are_alike(rows) else None
        return [value] * len(scopes) if value else [self.read(scope, reading) for scope in scopes]

    def texts(self, scopes: Sequence[LineScope]) -> list[str]:
        """The text of each line as it stands; empty where no path gives one."""
        own = self._of_line
        if own is None or own.segment != "FT1" or not own.is_first or own.field >= LENGTH:
            return [self.first(scope)[0] or "" for scope in scopes]
        found = []
        for scope in scopes:
            written: str | None = scope.row[own.field]
            if written and not written.isalnum():
                written = part(written, 1) if scope.row[0] == RECOMMENDED else ODD
            if not written or written is ODD:
                written = self.first(scope)[0] or ""
            found.append(written)
        return found

    def of_lines(self, scopes: Sequence[LineScope], reading: Reading) -> set[Any]:
        """The different values that these lines have, None among them where one has none."""
        if not self._own:
            return {self.read(scope, reading) for scope in scopes}
        rows = [scope.row for scope in scopes]
        value = self._known.get(self._text_of(rows[0])) if self._are_alike(rows) else None
        return {value} if value is not None else {self.read(scope, reading) for scope in scopes}

    def _are_alike(self, rows: Sequence[list[str]]) -> bool:
        """Whether all these lines have the same text in the field, written with the same delimiters."""
        written, marks = [row[self._own] for row in rows], [row[0] for row in rows]
        return written.count(written[0]) == len(rows) == marks.count(marks[0])

    def own_fields(self) -> tuple[int, ...] | None:
        """The FT1 fields that its paths look at; None when they look at anything else as well."""
        found = tuple(sorted({path.field for path in self.paths}))
        return found if all(path.segment == "FT1" and not path.which and path.field < LENGTH for path in self.paths) else None

    def every(self, scope: Scope) -> tuple[str, ...]:
        """All values of the first path that gives any, from the nearest segments that have it."""
        for path in self.paths:
            for segments in scope.segments(path.segment):
                found = path.every(segments)
                if found:
                    return found
        return ()

    def missing(self, reading: Reading) -> None:
        """Report that a required value is absent."""
        tried = ", ".join(path.text for path in self.paths) or "nothing: the mapping names no path"
        reading.report("MP02", f"{self.name} is absent (looked in {tried})", where=self.name)

    def refuse(self, reading: Reading, error: Unreadable) -> None:
        """Report a value that cannot be read."""
        severity = Severity.ERROR if self._grave else Severity.WARNING
        reading.report("MP03", f"{self.name}: {error}", where=self.name, severity=severity)

    def looks_only_at(self, *names: str) -> bool:
        """True when every path starts at one of these segments."""
        return all(path.segment in names for path in self.paths)

    def word(self, written: str) -> str | None:
        """What the look-up table says of a word; None when it is not there."""
        found = (self.table or {}).get(written)
        return found if isinstance(found, str) else None

    def _without_path(self, reading: Reading) -> Any:
        if self.spec.fixed is not None:
            return self._converted(self.spec.fixed, reading)
        return self.missing(reading) if self.spec.required else None

    def _read(self, scope: Scope, reading: Reading, paths: Sequence[SegmentPath]) -> tuple[Any, SegmentPath | None]:
        """The value, and which of these paths decided it."""
        written, path = self._first(scope, paths) if self.table is None else self._looked_up(scope, reading, paths)
        if written is None:
            if self.spec.required and path is None:
                self.missing(reading)
            return None, path
        return self._converted(written, reading), path

    def _first(self, scope: Scope, paths: Sequence[SegmentPath]) -> tuple[str | None, SegmentPath | None]:
        for path in paths:
            for segments in scope.segments(path.segment):
                value = path.first(segments)
                if value is not None:
                    return value, path
                if path.is_null(segments):
                    break
        return None, None

    def _looked_up(self, scope: Scope, reading: Reading, paths: Sequence[SegmentPath]) -> tuple[str | None, SegmentPath | None]:
        """Our word for the first one that the table knows, else None with the path of the first that it does not."""
        unknown: tuple[str, SegmentPath] | None = None
        for path in paths:
            for segments in scope.segments(path.segment):
                found = path.every(segments)
                for written in found:
                    word = self.word(written)
                    if word is not None:
                        return word, path
                    unknown = unknown or (written, path)
                if found or path.is_null(segments):
                    break
        if unknown is None:
            return None, None
        self._unknown(unknown[0], reading)
        return None, unknown[1]

    def _unknown(self, written: str, reading: Reading) -> None:
        shown = repr(written) if len(written) <= 24 else "a longer text"
        reading.report(
            "MP08",
            f"{self.name}: {shown} is not in the look-up table {self.spec.lookup!r}",
            where=self.name,
            fix=f"Add it under lookups.{self.spec.lookup} in {reading.mapping.place_to_edit}.",
        )

    def _converted(self, written: str, reading: Reading) -> Any:
        try:
            return self.convert(written, reading)
        except Unreadable as error:
            self.refuse(reading, error)
            return None


_MOST = 5_000


def remember(known: dict[Any, Any], key: Any, value: Any) -> None:
    """Keep what was worked out, for as many as are worth it."""
    if len(known) >= _MOST:
        known.clear()
    known[key] = value


def compile_take(mapping: Mapping, section: str, name: str, text: str) -> SegmentPath:
    """Compile one path. Raises ConfigError with the file and line of the field."""
    try:
        return compile_path(text)
    except PathSyntaxError as error:
        raise ConfigError(f"{section}.{name}: {text!r}: {error}", where=mapping.where(section, name)) from None
