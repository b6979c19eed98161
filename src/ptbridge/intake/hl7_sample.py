"""A partner's sample file read by a person: what each message holds, what a mapping takes of it, what billing lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ptbridge.errors import RecordError
from ptbridge.intake.compiled import CompiledMapping
from ptbridge.intake.hl7.values import npi
from ptbridge.model import Severity, SourceRecord
from ptbridge.specs.extract import fields_of
from ptbridge.specs.mapping import Mapping, texts
from ptbridge.wire.hl7_batch import Batch, split_batch
from ptbridge.wire.hl7_groups import Group
from ptbridge.wire.hl7_names import field_name, is_shown
from ptbridge.wire.hl7_options import Hl7Options
from ptbridge.wire.hl7_paths import PathSyntaxError, compile_path
from ptbridge.wire.hl7v2 import Message, Segment

MASK = "•••"


class ShownField(NamedTuple):
    """One field of a segment: its path, the standard's name, its value (masked where it may tell who), and what takes it."""

    path: str
    name: str
    value: str
    taken_as: str


class Fact(NamedTuple):
    """What a charge needs: a field of the mapping, in our words, and whether a visit without it is held."""

    section: str
    key: str
    words: str
    needed: bool


OF_THE_VISIT = (
    Fact("visit", "visit_id", "the visit's number", True),
    Fact("visit", "service_date", "the service date", True),
    Fact("visit", "discipline", "the discipline: PT, OT or SLP", True),
    Fact("patient", "id", "the patient's id", True),
    Fact("patient", "family", "the patient's family name", True),
    Fact("patient", "given", "the patient's given name", True),
    Fact("patient", "birth_date", "the patient's birth date", True),
    Fact("patient", "sex", "the patient's sex", False),
    Fact("patient", "address", "the patient's address", False),
    Fact("coverages", "payer_id", "the payer's id", True),
    Fact("coverages", "member_id", "the member id", True),
    Fact("coverages", "relationship", "the patient's relationship to the insured", False),
    Fact("rendering", "npi", "the treating therapist's NPI", True),
    Fact("referring", "npi", "the referring provider's NPI", False),
    Fact("diagnoses", "code", "a diagnosis", True),
    Fact("note", "signed", "whether the note is signed", False),
    Fact("visit", "place_of_service", "the place of service", False),
    Fact("visit", "authorization_number", "an authorization number", False),
)
OF_A_LINE = (
    Fact("interventions", "code", "the procedure code", True),
    Fact("interventions", "minutes", "the minutes", True),
    Fact("interventions", "units", "the units", False),
    Fact("interventions", "modifiers", "modifiers", False),
    Fact("interventions", "line_key", "an id of the line's own", False),
    Fact("interventions", "by_assistant", "whether an assistant did it", False),
)
_KEYS = ("MSH-9", "MSH-10", "MSH-11")


class Lack(NamedTuple):
    """What a message does not have. `where` is FT1[2] or the message; `looked` the paths of the mapping, empty for none."""

    where: str
    words: str
    looked: str
    needed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCheck:
    """The verdict on one message: `line` is where it starts in the file, `kind` its type, such as DFT^P03."""

    line: int
    kind: str
    charges: int
    lacks: tuple[Lack, ...] = ()
    remarks: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    unreadable: str = ""

    @property
    def holds(self) -> bool:
        """Whether a visit like this one would wait for a person."""
        return (
            bool(self.unreadable) or any(lack.needed for lack in self.lacks) or any(": error: " in one for one in self.findings)
        )


def messages_of(content: bytes) -> Batch:
    """A sample file taken apart: one message, several, or batches. Raises RecordError for a file without any."""
    batch = split_batch(content)
    if not batch.messages:
        raise RecordError("there is no message in it: no line starts with MSH.", where="file")
    return batch


# ---------------------------------------------------------------- show


def shown(message: Message, mapping: Mapping | None, *, with_patient: bool) -> Iterator[tuple[Segment, list[ShownField]]]:
    """Every segment with its fields that hold something."""
    taken = takers(mapping) if mapping else {}
    version = message.get("MSH-12")
    for segment in message.segments_all:
        repeated = len(message.segments(segment.name)) > 1
        yield segment, list(_fields(segment, segment.label if repeated else segment.name, version, taken, with_patient))


def _fields(
    segment: Segment, label: str, version: str | None, taken: dict[tuple[str, int], list[str]], with_patient: bool
) -> Iterator[ShownField]:
    for position in range(1, segment.field_count + 1):
        written = segment.field(position)
        if written:
            open_to_all = with_patient or is_shown(segment.name, position)
            yield ShownField(
                f"{label}-{position}",
                field_name(segment.name, position, version),
                _value(segment, position, written) if open_to_all else MASK,
                ", ".join(taken.get((segment.name, position), ())),
            )


def _value(segment: Segment, position: int, written: str) -> str:
    """A field decoded, its parts still apart; the delimiters' own field as it stands."""
    if segment.name in ("MSH", "FHS", "BHS") and position <= 2:
        return written
    return segment.whole(written) or written


def takers(mapping: Mapping) -> dict[tuple[str, int], list[str]]:
    """(segment, field) -> the fields of ours that the mapping takes from it."""
    found: dict[tuple[str, int], list[str]] = {}
    for section, name, written in fields_of(mapping):
        for path in texts(written.take):
            try:
                compiled = compile_path(path)
            except PathSyntaxError:
                continue
            names = found.setdefault((compiled.segment, compiled.field), [])
            if f"{section}.{name}" not in names:
                names.append(f"{section}.{name}")
    return found


# ---------------------------------------------------------------- check


def check_message(raw: bytes, line: int, compiled: CompiledMapping, *, charset: str | None, time_zone: ZoneInfo) -> SampleCheck:
    """What one message of a sample lacks for billing, by the mapping's own paths; then what intake makes of it."""
    try:
        message = Message.parse(raw, charset)
    except RecordError as error:
        return SampleCheck(line=line, kind="", charges=0, unreadable=str(error))
    groups = message.groups("FT1")
    remarks = tuple(f"{remark.where}: {remark.text}" for remark in message.remarks)
    lacks = [Lack("the message", f"{path} is empty", path, path != "MSH-11") for path in _KEYS if message.get(path) is None]
    unreadable = ""
    findings: tuple[str, ...] = ()
    if groups:
        lacks += _lacks(message, groups, compiled.mapping)
        unreadable, findings = _intake(raw, compiled, time_zone)
    return SampleCheck(
        line=line,
        kind=f"{message.code}^{message.trigger}",
        charges=len(groups),
        lacks=tuple(lacks),
        remarks=remarks,
        findings=findings,
        unreadable=unreadable,
    )


def _lacks(message: Message, groups: Sequence[Group], mapping: Mapping) -> Iterator[Lack]:
    for fact in OF_THE_VISIT:
        paths = _paths(mapping, fact)
        if not _is_fixed(mapping, fact) and not any(_found(path, message, groups, fact.key) for path in paths):
            yield Lack("the message", fact.words, ", ".join(paths), fact.needed)
    for group in groups:
        for fact in OF_A_LINE:
            paths = _paths(mapping, fact)
            if not _is_fixed(mapping, fact) and not any(_found(path, message, [group], fact.key) for path in paths):
                yield Lack(group.head.label, fact.words, ", ".join(paths), fact.needed)


def _found(path: str, message: Message, groups: Sequence[Group], key: str) -> bool:
    """Whether a path gives anything, from the message or from a line's own segments; for an NPI, ten digits."""
    try:
        compile_path(path)
    except PathSyntaxError:
        return False
    found = [group.get(path) for group in groups] + ([] if path.startswith("FT1") else [message.get(path)])
    return any(value is not None and (key != "npi" or npi(value) is not None) for value in found)


def _paths(mapping: Mapping, fact: Fact) -> tuple[str, ...]:
    """Where a fact is looked for; what no path names stands where the reader and the connector look by themselves."""
    section = getattr(mapping.spec, fact.section)
    written = getattr(section, fact.key)
    if written:
        return texts(written.take)
    if fact.key == "npi":
        return texts(section.each)  # a clinician's whole field, whose id it is (XCN-1)
    return Hl7Options().visit_number if fact.key == "visit_id" else ()


def _is_fixed(mapping: Mapping, fact: Fact) -> bool:
    written = getattr(getattr(mapping.spec, fact.section), fact.key)
    return written is not None and written.fixed is not None


def _intake(raw: bytes, compiled: CompiledMapping, time_zone: ZoneInfo) -> tuple[str, tuple[str, ...]]:
    """(why no visit can be made, what intake found): the words that a run would show."""
    record = SourceRecord(
        clinic="sample",
        source="file",
        record_key="sample",
        media_type="x-application/hl7-v2+er7-batch",
        payload=raw,
        received_at=datetime.now(UTC),
    )
    try:
        visit = compiled.normalize(record, time_zone)
    except RecordError as error:
        return str(error), ()
    return "", tuple(
        f"{finding.code}: {finding.severity.value}: {finding.message}"
        for finding in visit.findings
        if finding.severity is not Severity.INFORMATION
    )
