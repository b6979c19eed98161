"""`ptbridge authorizations`: who runs out, when, at today's frequency of visits; and how authorizations come in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptbridge.cli import screen
from ptbridge.cli.options import clinic_option, config_option, json_option

if TYPE_CHECKING:
    from ptbridge.jobs.authorizations import Standing

_patients = click.option("--show-patients", is_flag=True, help="Show the EMR's patient id beside each number.")


@click.group(invoke_without_command=True)
@config_option
@clinic_option
@_patients
@json_option
@click.pass_context
def authorizations(
    context: click.Context, config_folder: Path, clinic: str | None, show_patients: bool, json_wanted: bool
) -> None:
    """Show which authorizations run out, and when."""
    if context.invoked_subcommand is None:
        _list(config_folder, clinic, show_patients, json_wanted)


@authorizations.command("list")
@config_option
@clinic_option
@_patients
@json_option
def list_them(config_folder: Path, clinic: str | None, show_patients: bool, json_wanted: bool) -> None:
    """List the authorizations that are not over, the first to run out first.

    Used: the biller has it. On its way: queued or held here. The frequency is that of the last four weeks.
    """
    _list(config_folder, clinic, show_patients, json_wanted)


@authorizations.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@config_option
@clinic_option
@json_option
def import_file(file: Path, config_folder: Path, clinic: str | None, json_wanted: bool) -> None:
    """Read authorizations and Medicare amounts used (kx_opening) from a CSV, or authorizations from FHIR.

    FHIR: ClaimResponses of preauthorizations, with the ServiceRequests that name them and the Coverages that they name.

    All or nothing. A row of the same number, discipline and codes replaces the earlier one. CSV columns: kind, patient
    or mrn, number, payer, discipline, counts, allowed, codes, from, to, year, group, amount, as_of, source.
    """
    from ptbridge import jobs
    from ptbridge.specs.config import load_config

    done = jobs.import_authorizations(load_config(config_folder), file, clinic)
    if json_wanted:
        screen.put_json(done)
        return
    kinds = (("authorizations", "authorization"), ("kx_openings", "opening amount"))
    if found := [screen.count(done[key], noun) for key, noun in kinds if done[key]]:
        screen.say(f"Imported {' and '.join(found)}. Held visits of these patients are judged again at the next sync.")
    else:
        screen.say("Nothing was imported: no row and no answer to a preauthorization in this file gives an authorization.")
    for reason in done["left_out"]:
        screen.say(screen.wrapped(f"left out: {reason}", indent="  "))


def _list(config_folder: Path, clinic: str | None, show_patients: bool, json_wanted: bool) -> None:
    from ptbridge import jobs
    from ptbridge.specs.config import load_config

    rows = jobs.list_authorizations(load_config(config_folder), clinic, show_patients)
    if json_wanted:
        screen.put_json(rows)
    elif not rows:
        screen.say("No authorization is in force. Import some: ptbridge authorizations import FILE")
    else:
        headings = ["number", "payer", "left", "of", "on its way", "a week", "runs out", "why"]
        cells = [_cells(row) for row in rows]
        if show_patients:
            headings.insert(1, "patient")
            cells = [[cell[0], row.patient or "-", *cell[1:]] for cell, row in zip(cells, rows, strict=True)]
        screen.say(screen.table(cells, headings=headings))


def _cells(row: Standing) -> list[object]:
    who = " ".join(part for part in (row.payer, row.discipline) if part) or "any"
    return [
        row.number,
        who,
        _amount(row.left, row.counts),
        _amount(row.allowed, row.counts, named=True),
        _amount(row.in_flight, row.counts),
        _amount(round(row.per_week), row.counts) if row.counts == "cents" else f"{row.per_week:g}",
        row.runs_out or "-",
        row.why,
    ]


def _amount(number: int, counts: str, *, named: bool = False) -> str:
    if counts == "cents":
        from ptbridge.model import dollars

        return dollars(number)
    return f"{number} {counts}" if named else str(number)
