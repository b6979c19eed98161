"""`ptbridge changes`, `changes confirm`, `changes done`, `undo`: what changed after it was sent, and a person's word on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from ptbridge.cli import screen
from ptbridge.cli.options import clinic_option, config_option, json_option
from ptbridge.cli.worklist import actor_option, decide, reason_option, when_it_goes


@click.group(invoke_without_command=True)
@config_option
@clinic_option
@json_option
@click.pass_context
def changes(context: click.Context, config_folder: Path, clinic: str | None, json_wanted: bool) -> None:
    """Show what changed after it was sent, and what happens to it.

    Before and after in lines, units and dollars, what the EMR changed and when, the planned correction, and who must
    act. Also what waits in the clinic's hold window.
    """
    if context.invoked_subcommand is None:
        _list(config_folder, clinic, json_wanted)


def _list(config_folder: Path, clinic: str | None, json_wanted: bool) -> None:
    from ptbridge import jobs
    from ptbridge.specs.config import load_config

    rows = jobs.changes(load_config(config_folder), clinic)
    if json_wanted:
        screen.put_json(rows)
    elif not rows:
        screen.say("Nothing that was sent has changed, and nothing waits in a hold window.")
    else:
        screen.say(screen.count(len(rows), "treatment day"), bold=True)
        for row in rows:
            _show(row)


def _show(row: Mapping[str, Any]) -> None:
    """One day: what it is, before and after, what the source did, what happens."""
    from ptbridge.model import dollars

    name = " ".join(screen.clean(visit) for visit in row["visits"] or [row["id"]])
    facts = [fact for fact in (row["service_date"], row["discipline"], row["stage"], row["standing"]) if fact]
    screen.say(f"\n  {name}", bold=True, nl=False)
    screen.say("".join(f"  {screen.clean(fact)}" for fact in facts))
    for word in ("before", "after"):
        total = row[word]
        if total is not None:
            lines = ", ".join(total["lines"]) or "nothing"
            amount = f"{screen.count(total['units'], 'unit')}, {dollars(total['amount_cents'])}"
            screen.say(screen.wrapped(f"{lines}: {amount}", indent=f"    {word:<7}", then=" " * 11))
    if row["kind"] == "correction":
        difference = row["difference"]
        payer = ", another primary payer" if difference["payer_changed"] else ""
        screen.say(f"    differs {difference['units']:+d} units, {dollars(difference['amount_cents'])}{payer}")
    for change in row["source"]:
        screen.say(
            screen.wrapped(f"{change['visit_id']}: {change['what']} ({change['at']})", indent="    source ", then=" " * 11)
        )
    when = f", not before {row['goes_at']}" if row["goes_at"] else ""
    screen.say(screen.wrapped(f"{row['action']}{when}; to act: {row['who']}", indent="    next   ", then=" " * 11))
    for reason in row["reasons"]:
        screen.say(screen.wrapped(f"{reason['code']} {reason['message']}", indent="    ", then=" " * 9))
        screen.say(screen.wrapped(reason["fix"], indent="      -> ", then=" " * 9))


@changes.command("confirm")
@click.argument("id_", metavar="ID")
@reason_option
@actor_option
@config_option
@json_option
def confirm(id_: str, reason: str, actor: str, config_folder: Path, json_wanted: bool) -> None:
    """Let a correction go that the clinic wants a person to confirm, with a reason.

    For exactly this content: a later edit asks again. It goes with the next sync or retry; where the clinic has a hold
    window, that run begins it.
    """
    from ptbridge import jobs

    decide(jobs.confirm, _confirmed, id_, reason, actor, config_folder, json_wanted)


def _confirmed(outcome: Mapping[str, Any]) -> str:
    return f"Confirmed {{0}}. {when_it_goes(outcome)}"


@changes.command("done")
@click.argument("id_", metavar="ID")
@reason_option
@actor_option
@config_option
@json_option
def done(id_: str, reason: str, actor: str, config_folder: Path, json_wanted: bool) -> None:
    """Say that the biller made a correction by hand, with a reason.

    For a task that no program can do there (SB01, SB02). Nothing is sent; the next sync takes over what the biller has now.
    """
    from ptbridge import jobs

    _said(
        jobs.done,
        "Noted for {0}. The next sync takes over what the biller has now.",
        id_,
        reason,
        actor,
        config_folder,
        json_wanted,
    )


@click.command()
@click.argument("id_", metavar="ID")
@reason_option
@actor_option
@config_option
@json_option
def undo(id_: str, reason: str, actor: str, config_folder: Path, json_wanted: bool) -> None:
    """Take back what waits to be sent, with a reason.

    In the clinic's hold window, or while the biller is away. The day is then held: ptbridge retry ID sends it after all,
    ptbridge exclude ID never bills it, and an edit in the EMR is judged anew. After it was sent, exclude it: it is voided.
    """
    from ptbridge import jobs

    _said(
        jobs.undo,
        "Taken back: {0}. It is held; `ptbridge retry` with its name sends it after all.",
        id_,
        reason,
        actor,
        config_folder,
        json_wanted,
    )


def _said(
    decision: Callable[..., object], said: str, id_: str, reason: str, actor: str, config_folder: Path, json_wanted: bool
) -> None:
    decide(decision, lambda _: said, id_, reason, actor, config_folder, json_wanted)
