"""`ptbridge mapping`: check a mapping file, try it on a record, write the JSON Schema for an editor."""

from __future__ import annotations

from pathlib import Path

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import json_option


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
@click.option("--show-patient", is_flag=True, help="Show the patient's own fields too; they are masked otherwise.")
@json_option
def try_mapping(file: str, record: Path, show_patient: bool, json_wanted: bool) -> int:
    """Read one record with a mapping: each field, the path that gave it, and what is missing.

    RECORD is a FHIR Bundle as JSON: the Encounter and what belongs to it.
    """
    from ptbridge.intake.trial import try_record_file

    rows = try_record_file(file, record, show_patient=show_patient)
    if json_wanted:
        screen.put_json(rows)
    return exit_codes.DONE


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
