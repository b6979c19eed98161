"""`ptbridge sync`, `status`, `retry`: the runs, and where they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import clinic_option, config_option, date_of, json_option

# Of several clinics' runs in one command the worst decides, in this order: the machinery before the worklist.
_WORST_FIRST = (
    exit_codes.LEDGER,
    exit_codes.CONFIG,
    exit_codes.UNEXPECTED,
    exit_codes.PEER,
    exit_codes.WAITING,
    exit_codes.HELD,
)


@click.command()
@config_option
@clinic_option
@click.option("--since", metavar="DATE", callback=date_of, help="First run: visits from this service date on.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent; send nothing and keep nothing.")
@json_option
def sync(config_folder: Path, clinic: str | None, since: date | None, dry_run: bool, json_wanted: bool) -> int:
    """Pull new visits, code and check them, send the charges.

    Run it as often as you like: what was sent is not sent again. The exit code tells a scheduler what happened
    (ptbridge exit-codes).
    """
    from ptbridge import jobs
    from ptbridge.specs.config import load_config

    config = load_config(config_folder)
    with screen.Progress(quiet=json_wanted) as progress:
        reports = screen.plain(jobs.sync(config, clinic, since=since, dry_run=dry_run, progress=progress))
    return _told(reports, json_wanted)


def worst(codes: Sequence[int]) -> int:
    """The exit code for several runs: the one that most needs somebody."""
    return next((code for code in _WORST_FIRST if code in codes), max(codes, default=exit_codes.DONE))


@click.command()
@config_option
@clinic_option
@json_option
def status(config_folder: Path, clinic: str | None, json_wanted: bool) -> int:
    """Show what was sent, what waits and what is held.

    Raises the alarms that the clinic file sets under `alarms`: a silent source, a submission or a held day that is too old;
    and a difference that the last run found. Exit code 10 when there is one.
    """
    from ptbridge import jobs
    from ptbridge.cli.run_view import show_status
    from ptbridge.specs.config import load_config

    answer = screen.plain(jobs.status(load_config(config_folder), clinic))
    if json_wanted:
        screen.put_json(answer)
    else:
        for number, (name, standing) in enumerate(answer.items()):
            if number:
                screen.say()
            show_status(name, standing)
    return exit_codes.ALARM if any(standing["alarms"] for standing in answer.values()) else exit_codes.DONE


@click.command()
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--reason", metavar="TEXT", default="", help="Why, in words that stay in the history; no patient's name.")
@config_option
@clinic_option
@json_option
def retry(id_: str | None, reason: str, config_folder: Path, clinic: str | None, json_wanted: bool) -> int:
    """Try again now what still waits for the biller.

    Also what is held by its delivery (rejected, given up), or with ID only that one treatment day. Nothing is pulled. What
    is in doubt is looked up at the biller first and never sent blindly.
    """
    from ptbridge import jobs
    from ptbridge.specs.config import load_config

    config = load_config(config_folder)
    with screen.Progress(quiet=json_wanted) as progress:
        reports = screen.plain(jobs.retry(config, clinic, id_, reason, progress=progress))
    return _told(reports, json_wanted, pulls=False)


def _told(reports: Sequence[Mapping[str, Any]], json_wanted: bool, *, pulls: bool = True) -> int:
    """Show the runs and return the exit code for all of them."""
    from ptbridge.cli.run_view import show_run

    if json_wanted:
        screen.put_json(reports)
    else:
        for number, report in enumerate(reports):
            if number:
                screen.say()
            show_run(report, pulls=pulls)
    return worst([report["exit_code"] for report in reports])
