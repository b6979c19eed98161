"""Behind `ptbridge mapping try` for HL7 v2: each field of a visit's messages, the path that gave it, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

from ptbridge.intake.fields import Reading
from ptbridge.intake.hl7.charges import charge_lines
from ptbridge.intake.hl7.fields import Field, compile_take
from ptbridge.intake.hl7.mapping import Hl7Mapping
from ptbridge.intake.hl7.record import LineScope, Scope, SegmentScope, VisitRecord
from ptbridge.intake.record_index import RecordIndex
from ptbridge.intake.trial import MASK, Row, is_hidden, written_fields
from ptbridge.model import Provider, SourceRecord, Visit
from ptbridge.specs.mapping import texts
from ptbridge.wire.hl7_batch import split_batch
from ptbridge.wire.hl7_record import Part, join_parts
from ptbridge.wire.hl7v2 import Message

_ROLES = ("rendering", "assistant", "supervising", "referring")


def visit_payload(raw: bytes) -> bytes:
    """A file of messages as the payload of one visit: DFT messages charge, the others tell facts. Raises RecordError."""
    messages = [one.raw for one in split_batch(raw).messages]
    if len(messages) < 2:
        return messages[0] if messages else raw
    uses = ["charges" if Message.parse(one).code == "DFT" else "facts" for one in messages]
    return join_parts(Part(seq, use, None, one) for seq, (use, one) in enumerate(zip(uses, messages, strict=True), start=1))


def visit_rows(
    record: SourceRecord, compiled: Hl7Mapping, visit: Visit, time_zone: ZoneInfo, *, show_patient: bool
) -> Iterator[Row]:
    """Every field of the mapping on the messages of one visit, section by section. `visit` is what the mapping made of them."""
    messages = VisitRecord(record, time_zone)
    reading = Reading(RecordIndex([]), time_zone, compiled.mapping)
    lines = [one.scope for one in charge_lines(messages, compiled.lines.kind, compiled.lines.line_key, reading).lines]
    yield from _rows(compiled, "visit", [lines[0] if lines else messages], [messages], show_patient)
    yield from _rows(compiled, "patient", [messages], [], show_patient)
    yield from _rows(compiled, "coverages", _segments(compiled, "coverages", messages), [], show_patient)
    yield from _rows(compiled, "guarantor", _segments(compiled, "guarantor", messages)[:1], [], show_patient)
    for role in _ROLES:
        yield from _provider(compiled, role, getattr(visit, role), [*lines, messages])
    yield from _rows(compiled, "diagnoses", _segments(compiled, "diagnoses", messages), [], show_patient)
    yield from _rows(compiled, "note", _segments(compiled, "note", messages), [], show_patient)
    yield from _rows(compiled, "interventions", lines, [], show_patient)


def _segments(compiled: Hl7Mapping, section: str, messages: VisitRecord) -> list[Scope]:
    """The items of a section: the segments of its `each` in the newest message that has any."""
    names = [text.partition("-")[0] for text in texts(getattr(compiled.mapping.spec, section).each)]
    for message in messages.layers:
        found = [segment for name in names for segment in message.segments(name)]
        if found:
            return [SegmentScope(segment, message, messages) for segment in found]
    return []


def _rows(
    compiled: Hl7Mapping, section: str, items: Sequence[Scope], then: Sequence[Scope], show_patient: bool
) -> Iterator[Row]:
    written = written_fields(compiled.mapping, section)
    if not items and written:
        yield Row(
            section, "", "", f"no {' or '.join(texts(getattr(compiled.mapping.spec, section).each)) or 'charge line'} here"
        )
    for position, scope in enumerate(items, start=1):
        name = section if len(items) == 1 else f"{section}[{position}]"
        for key in written:
            yield _row(Field(compiled.mapping, section, key, _as_it_is), f"{name}.{key}", [scope, *then], show_patient)


def _row(field: Field, name: str, scopes: Sequence[Scope], show_patient: bool) -> Row:
    if field.spec.fixed is not None and not field.paths:
        return Row(name, field.spec.fixed, "fixed")
    every = field.name == "interventions.modifiers"
    for scope in scopes:
        value, path = field.first(scope)
        if value is not None:
            shown = " ".join(field.every(scope)) if every else value
            return Row(name, MASK if is_hidden(field.name) and not show_patient else shown[:120], path)
    tried = ", ".join(path.text for path in field.paths)
    return Row(name, "", "", f"{'required: ' if field.spec.required else ''}nothing at {tried}")


def _as_it_is(raw: str, _reading: Reading) -> str:
    return raw


def _provider(compiled: Hl7Mapping, role: str, found: Provider | None, scopes: Sequence[Scope]) -> Iterator[Row]:
    """The clinician as read, with the field that names one; an XCN gives several facts at once."""
    paths = [compile_take(compiled.mapping, role, "each", path) for path in texts(getattr(compiled.mapping.spec, role).each)]
    if not paths:
        return
    given = [
        path.text
        for path in paths
        for scope in scopes
        if isinstance(scope, LineScope) == (path.segment in ("FT1", "PR1"))
        if any(path.first(segments) for segments in scope.segments(path.segment))
    ]
    tried = ", ".join(path.text for path in paths)
    for key in ("npi", "name", "credential"):
        value = getattr(found, key) if found is not None else None
        missing = (
            "" if value else f"nothing at {tried}" if not given else "several clinicians" if not found else "not said there"
        )
        yield Row(f"{role}.{key}", value or "", given[0] if given and value else "", missing)
