"""`ptbridge denials`: what was rejected or denied, grouped so that a pattern shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import clinic_option, config_option, json_option
from ptbridge.model import dollars

_BY = ("reason", "code", "payer", "therapist")


@click.command()
@click.option("--by", type=click.Choice(_BY), default="reason", show_default=True, help="What to group by.")
@config_option
@clinic_option
@json_option
def denials(by: str, config_folder: Path, clinic: str | None, json_wanted: bool) -> int:
    """Group what was rejected or denied, with the dollars at stake.

    By the reason as the payer's own code, the procedure code, the payer, or the therapist (NPI). Each group names the
    findings that stood beside its charges when they were sent: the edits that let them through.
    """
    from ptbridge import jobs
    from ptbridge.specs.config import load_config

    answer: Mapping[str, Any] = screen.plain(jobs.denials(load_config(config_folder), clinic, by=by))
    if json_wanted:
        screen.put_json(answer)
    else:
        for name, found in answer.items():
            show_denials(name, found)
    open_ = sum(found["total"]["days"] - found["settled"] for found in answer.values())
    return exit_codes.HELD if open_ else exit_codes.DONE


def show_denials(name: str, found: Mapping[str, Any]) -> None:
    """The groups, most money first, and what is at stake in all."""
    total = found["total"]
    screen.say(screen.clean(name), bold=True)
    if not total["days"]:
        screen.say("  Nothing is rejected or denied.", fg="green")
        return
    rows = [
        (
            group["key"],
            f"{group['days']:,}",
            f"{group['rejected']:,}",
            f"{group['denied']:,}",
            f"{group['units']:,}",
            dollars(group["amount_cents"]),
            group["oldest_service_date"],
            " ".join(group["let_through"]) or "no edit said anything",
        )
        for group in found["groups"]
    ]
    headings = (found["by"], "days", "rejected", "denied", "units", "at stake", "oldest", "went with")
    screen.say(screen.table(rows, headings=headings, right=(1, 2, 3, 4, 5)))
    settled = f", {found['settled']:,} settled by a person" if found["settled"] else ""
    words = f"{screen.count(total['days'], 'treatment day')}, {dollars(total['amount_cents'])} at stake{settled}"
    screen.say(screen.wrapped(f"{words}. One day can stand in several groups.", indent="  "))
