"""Rows that changed, laid over the rows that a visit had: by charge id, each row's bytes as they came."""

from __future__ import annotations

from collections.abc import Sequence

from ptbridge.model import SourceRecord
from ptbridge.wire.extract_file import ExtractFile, reading_of
from ptbridge.wire.extract_profile import ExtractProfile
from ptbridge.wire.extract_rows import BrokenFile, Row, rows


def version_of(name: str, found: Sequence[Row]) -> str:
    """`charges.csv:17,18`: the file and the lines of a record's rows, in their order."""
    return f"{name.replace(';', '_')}:{','.join(str(row.line) for row in found)}"


def lines_of(version: str) -> list[str]:
    """`file:line` of each row, from what `version_of` wrote; merged records name several files."""
    found = []
    for part in version.split(";") if version else ():
        name, _, lines = part.rpartition(":")
        found += [f"{name}:{line}" for line in lines.split(",")]
    return found


def laid_over(earlier: SourceRecord, file: ExtractFile, visit_id: str, profile: ExtractProfile) -> tuple[bytes, str]:
    """(payload, version) of the visit after the change. Raises BrokenFile when the columns are no longer the same."""
    _, delimiter, charset = reading_of(file.name, profile)
    heading, *before = rows(earlier.payload, delimiter=delimiter, charset=charset)
    if heading.raw.rstrip(b"\r\n") != file.heading.rstrip(b"\r\n"):
        line = file.visits[visit_id][0].line
        raise BrokenFile(f"line {line}: the columns changed since the visit's other rows came. Export the whole visit again.")
    place = file.header[profile.charge_column]
    changed = {_charge(row, place): row for row in file.visits[visit_id]}
    if len(changed) < len(file.visits[visit_id]):
        line = file.visits[visit_id][0].line
        raise BrokenFile(f"line {line}: a {profile.charge_column} stands on two rows of the visit. Export each change once.")
    places = lines_of(earlier.version) if earlier.version else [f"earlier:{row.line}" for row in before]
    kept = [(where, row) for where, row in zip(places, before, strict=False) if _charge(row, place) not in changed]
    merged = [*kept, *((f"{file.name.replace(';', '_')}:{row.line}", row) for row in changed.values())]
    payload = heading.raw + b"".join(_ended(row.raw) for _, row in merged)
    return payload, ";".join(where for where, _ in merged)


def _charge(row: Row, place: int) -> str:
    return row.cells[place] if place < len(row.cells) else ""


def _ended(raw: bytes) -> bytes:
    return raw if raw.endswith(b"\n") else raw + b"\n"
