"""`ptbridge mapping`: check a mapping file, try it on a record, write the JSON Schema for an editor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import json_option

if TYPE_CHECKING:
    from ptbridge.intake.trial import Row
    from ptbridge.model import SourceRecord


@click.group()
def mapping() -> None:
    """Check a mapping file, or try it on a record."""


@mapping.command()
@click.argument("file", metavar="FILE")
@json_option
def check(file: str, json_wanted: bool) -> int:
    """Check a mapping file and all that it extends; every problem is told with its line.

    FILE is a mapping file, or the name of a shipped mapping such as emrs/fhir_r4.
    """
    from ptbridge.intake.trial import check_mapping

    problems = check_mapping(file)
    if json_wanted:
        screen.put_json({"file": file, "ok": not problems, "problems": problems})
    elif problems:
        for problem in problems:
            screen.say(screen.wrapped(problem, then="  "))
    else:
        screen.say(f"ok    {screen.clean(file)}")
    return exit_codes.CONFIG if problems else exit_codes.DONE


@mapping.command("try")
@click.argument("file", metavar="FILE")
@click.argument("record", metavar="RECORD", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--time-zone", metavar="ZONE", default="UTC", show_default=True, help="The clinic's zone: it decides the service date."
)
@click.option("--show-patient", is_flag=True, help="Show the patient's own fields too; they are masked otherwise.")
@json_option
def try_mapping(file: str, record: Path, time_zone: str, show_patient: bool, json_wanted: bool) -> int:
    """Read one record with a mapping: each field, the path that gave it, and what is missing.

    RECORD is a FHIR Bundle as JSON (the Encounter and what belongs to it), the HL7 v2 messages of one visit, or the heading
    and the rows of one visit of an extract (.csv, .tsv). Exit code 3 if it cannot be read or would be held.
    """
    from ptbridge.errors import RecordError
    from ptbridge.intake.normalize import compile_mapping
    from ptbridge.intake.trial import try_record
    from ptbridge.specs.mapping_files import load_mapping

    compiled = compile_mapping(load_mapping(file))
    try:
        rows = try_record(_record(record), compiled, time_zone=_zone(time_zone), show_patient=show_patient)
    except RecordError as error:
        screen.put_json({"unreadable": str(error), "fix": error.fix}) if json_wanted else screen.say(f"Unreadable: {error}")
        return exit_codes.HELD
    if json_wanted:
        screen.put_json(rows)
    else:
        _show_rows(rows)
    return exit_codes.HELD if any(_holds(row) for row in rows) else exit_codes.DONE


_MEDIA_TYPES = {".csv": "text/csv", ".tsv": "text/tab-separated-values", ".hl7": "x-application/hl7-v2+er7-batch"}


def _record(path: Path) -> SourceRecord:
    """A file's bytes as a source record, untouched."""
    from datetime import UTC, datetime

    from ptbridge.intake.hl7_trial import visit_payload
    from ptbridge.model import SourceRecord

    content, kind = path.read_bytes(), _MEDIA_TYPES.get(path.suffix.lower(), "application/fhir+json")
    if content.lstrip(b"\x0b\xef\xbb\xbf\r\n \t")[:3] in (b"MSH", b"FHS", b"BHS"):  # whatever the file is called
        content, kind = visit_payload(content), _MEDIA_TYPES[".hl7"]
    return SourceRecord(
        clinic="trial",
        source="file",
        record_key=path.name,
        media_type=kind,
        payload=content,
        received_at=datetime.now(UTC),
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise click.BadParameter(
            f"{name!r} is not an IANA time zone such as America/Chicago", param_hint="--time-zone"
        ) from None


def _show_rows(rows: Sequence[Row]) -> None:
    """Fields with the path that gave each; then what is missing; then the findings."""
    findings = [row for row in rows if row.field.startswith("finding ")]
    found = [(row.field, row.value, row.path) for row in rows if not row.missing and row not in findings]
    missing = [(row.field, row.missing) for row in rows if row.missing]
    screen.say(screen.table(found, headings=("field", "value", "path")))
    for heading, table in (("Missing", missing), ("Findings", [(row.field[8:], row.value[5:]) for row in findings])):
        if table:
            screen.say(f"\n{heading}", bold=True)
            screen.say(screen.table(table))


def _holds(row: Row) -> bool:
    return row.field.startswith("finding ") and row.value[5:].startswith("error")


@mapping.command()
@click.option("--write", "target", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write it to a file.")
@json_option
def schema(target: Path | None, json_wanted: bool) -> None:
    """Print the JSON Schema of a mapping file, from which an editor completes the keys.

    It is JSON with or without --json.
    """
    from ptbridge.specs.mapping import json_schema

    if target is None:
        screen.put_json(json_schema())
        return
    target.write_text(screen.as_json(json_schema()) + "\n", "utf-8")
    screen.say(f"Wrote {target}.")
