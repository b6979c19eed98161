"""`ptbridge answers`: ask what became of what was sent; or wait for the biller to say that there is news."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import clinic_option, config_option, json_option
from ptbridge.cli.worklist import actor_option
from ptbridge.model import dollars

if TYPE_CHECKING:
    from ptbridge.specs.config import Config


@click.command()
@config_option
@clinic_option
@click.option("--serve", "port", type=click.IntRange(0, 65535), metavar="PORT", help="Wait for signed webhooks on this port.")
@click.option("--every", "minutes", type=click.IntRange(1, 1440), default=60, show_default=True, help="Minutes between polls.")
@click.option("--seen", "number", type=int, metavar="N", help="Say that you looked at an answer that could not be read.")
@click.option("--reason", metavar="TEXT", default="", help="With --seen: what it was; no patient's name.")
@actor_option
@json_option
def answers(
    config_folder: Path,
    clinic: str | None,
    port: int | None,
    minutes: int,
    number: int | None,
    reason: str,
    actor: str,
    json_wanted: bool,
) -> int:
    """Ask the biller what became of what was sent.

    Takes in what is new and shows how far the charges are; sync does the same at its start. With --serve it runs until it
    is stopped: it polls every so many minutes, and at once when a signed webhook says that there is news. A webhook only
    wakes the poll: nothing that it says is believed. With --seen nobody is asked: an answer that could not be read, which
    `ptbridge reconcile` names by its number, no longer asks for a person.
    """
    from ptbridge import jobs
    from ptbridge.specs.config import load_config

    config = load_config(config_folder)
    if number is not None:
        return _seen(config, number, reason, actor, json_wanted)
    if port is None:
        found = screen.plain(jobs.ask(config, clinic))
        _put(found) if json_wanted else _show(found)
        return exit_codes.PEER if any("error" in told for told in found.values()) else exit_codes.DONE
    heard = jobs.serve_answers(
        config,
        clinic,
        port=port,
        every_seconds=minutes * 60,
        ready=partial(_ready, json_wanted),
        told=partial(_told, json_wanted),
    )
    screen.say(json.dumps(heard) if json_wanted else f"stopped; webhooks: {_words(heard)}")
    return exit_codes.DONE


def _seen(config: Config, number: int, reason: str, actor: str, json_wanted: bool) -> int:
    from ptbridge import jobs

    if not reason.strip():
        raise click.BadParameter("is empty. Say what it was; it stays in the history.", param_hint="--reason")
    outcome = jobs.see(config, number, reason.strip(), actor)
    if json_wanted:
        screen.put_json(outcome)
    else:
        screen.say(f"Noted for answer {number}. It stays in the ledger, and asks for nobody any more.")
    return exit_codes.DONE


def _ready(json_wanted: bool, addresses: Mapping[str, str]) -> None:
    """One line for each clinic, or one of JSON for all: whoever started us waits for it."""
    if json_wanted:
        screen.say(json.dumps({"ready": addresses}))
    for clinic, address in () if json_wanted else addresses.items():
        screen.say(f"ready: {clinic} on {address}")
    sys.stdout.flush()


def _told(json_wanted: bool, found: Any) -> None:
    if json_wanted:
        screen.say(json.dumps(screen.plain(found)))
    else:
        _show(screen.plain(found))
    sys.stdout.flush()


def _put(found: Any) -> None:
    screen.put_json(found)


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {screen.clean(name)}" for name, count in counts.items() if count) or "none"


def _show(found: Mapping[str, Any]) -> None:
    from ptbridge.cli.run_view import news

    for name, told in found.items():
        screen.say(screen.clean(name), bold=True)
        if "error" in told:
            screen.say(screen.wrapped(told["error"], indent="  error: ", then="    "), fg="red")
            continue
        for note in told["notes"]:
            screen.say(screen.wrapped(note, indent="  note: ", then="    "))
        if not told["tells"]:
            screen.say("  This biller does not tell what becomes of a charge.")
            continue
        screen.say(screen.wrapped(f"new answers: {news(told['new'])}", indent="  ", then="    "))
        if told["about_nothing_of_ours"]:
            many = screen.count(told["about_nothing_of_ours"], "answer")
            words = f"{many} about charges that this ledger never sent, or not to be read: ptbridge reconcile"
            screen.say(screen.wrapped(words, indent="  ", then="    "), fg="yellow")
        if told["refused_days"]:
            screen.say(f"  {screen.count(told['refused_days'], 'treatment day')} rejected or denied: the next sync holds them")
        show_standing(told["standing"])


def show_standing(rows: Any) -> None:
    """How far the live charges are, by stage and standing."""
    cells = [
        (row["stage"], row["standing"], f"{row['days']:,}", f"{row['units']:,}", dollars(row["amount_cents"])) for row in rows
    ]
    if cells:
        screen.say(screen.table(cells, headings=("stage", "standing", "days", "units", "amount"), right=(2, 3, 4)))
