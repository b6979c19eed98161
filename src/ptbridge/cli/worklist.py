"""`ptbridge held`, `release`, `exclude`: what waits for a person, and the person's two answers."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import clinic_option, config_option, json_option

reason_option = click.option(
    "--reason", required=True, metavar="TEXT", help="Why, in words that stay in the history; no patient's name."
)
actor_option = click.option(
    "--by", "actor", metavar="WHO", default=getpass.getuser, show_default="your user name", help="Who decides."
)


@click.command()
@config_option
@clinic_option
@click.option("--dead", is_flag=True, help="Only what delivery gave up: reason, owner, and how to replay it.")
@json_option
def held(config_folder: Path, clinic: str | None, dead: bool, json_wanted: bool) -> int:
    """List the visits that wait for a person, with the reason and the fix.

    What is held and goes by itself comes last; it alone gives no exit code 3.
    """
    from ptbridge import jobs
    from ptbridge.cli.run_view import by_itself, show_held
    from ptbridge.specs.config import load_config

    if dead:
        return _dead(config_folder, clinic, json_wanted)

    rows = screen.plain(jobs.held(load_config(config_folder), clinic))
    alone = [row for row in rows if row["goes_by_itself"]]
    mine = [row for row in rows if not row["goes_by_itself"]]
    if json_wanted:
        screen.put_json(rows)
        return exit_codes.HELD if mine else exit_codes.DONE
    if mine:
        screen.say(f"{screen.count(len(mine), 'treatment day')} for a person", bold=True)
        show_held(mine)
        screen.say("\nMost go by themselves once the EMR or the mapping is corrected and sync runs again.")
        screen.say("To decide here: ptbridge release ID --reason TEXT, or ptbridge exclude ID --reason TEXT")
    else:
        screen.say("Nothing waits for a person.")
    if alone:
        screen.say(f"\n{by_itself(len(alone))}", bold=True)
        show_held(alone)
    return exit_codes.HELD if mine else exit_codes.DONE


def _dead(config_folder: Path, clinic: str | None, json_wanted: bool) -> int:
    """What delivery gave up, oldest first."""
    from ptbridge import jobs
    from ptbridge.specs.config import load_config

    rows = jobs.dead_letters(load_config(config_folder), clinic)
    if json_wanted:
        screen.put_json(rows)
    elif not rows:
        screen.say("Delivery gave nothing up.")
    for row in rows if not json_wanted else ():
        screen.say(f"\n  {screen.clean(row['id'])}", bold=True, nl=False)
        screen.say(f"  {screen.clean(row['service_date'])}  {screen.count(row['attempts'], 'attempt')}  to act: {row['owner']}")
        screen.say(screen.wrapped(row["message"], indent="    "))
        screen.say(f"    -> {screen.clean(row['replay'])}")
        screen.say(f"    -> {screen.clean(row['settle'])}: when you have looked what the biller has")
    return exit_codes.HELD if rows else exit_codes.DONE


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--add", multiple=True, metavar="MODIFIER", help="Add a modifier that a finding proposes, such as KX.")
@reason_option
@actor_option
@config_option
@json_option
def release(id_: str, add: tuple[str, ...], reason: str, actor: str, config_folder: Path, json_wanted: bool) -> None:
    """Send a held visit as it is, with a reason.

    ID is the visit id that `ptbridge held` shows. What was read wrongly or cannot be coded stays held: only
    a finding about the charge can be overruled. The reason and your name stay in the history.
    """
    from functools import partial

    from ptbridge import jobs

    decide(partial(jobs.release, add=add), _released, id_, reason, actor, config_folder, json_wanted)


def _released(outcome: Mapping[str, Any]) -> str:
    """What happens next: a charge goes; a refusal is settled, and goes again only where the biller has none of it."""
    if {"RJ01", "RJ02"} & set(outcome["codes"]):
        again = "Released {0}. The refusal is settled; the next sync sends it again only where the biller has none of it left."
        window = outcome["hold_window_minutes"]
        return again + (f" It then waits {screen.count(window, 'minute')} in the hold window." if window else "")
    return f"Released {{0}}. {when_it_goes(outcome)}"


def when_it_goes(outcome: Mapping[str, Any]) -> str:
    """When a released day leaves: with the next run, or once the hold window is over that the next run begins."""
    window = outcome["hold_window_minutes"]
    if not window:
        return "It goes with the next sync or `ptbridge retry`."
    return (
        f"The next sync or `ptbridge retry` begins its hold window of {screen.count(window, 'minute')}; it goes with the first "
        "of them after that, and within it at once with `ptbridge retry {0}`."
    )


@click.command()
@click.argument("id_", metavar="ID")
@reason_option
@actor_option
@config_option
@json_option
def exclude(id_: str, reason: str, actor: str, config_folder: Path, json_wanted: bool) -> None:
    """Never bill a held visit, with a reason.

    ID is the visit id that `ptbridge held` shows. A visit that was sent is taken back by the next sync. The reason and
    your name stay in the history.
    """
    from ptbridge import jobs

    done = "Excluded {0}. The next sync leaves it out, and takes back what the biller has of it."
    decide(jobs.exclude, lambda _: done, id_, reason, actor, config_folder, json_wanted)


def decide(
    decision: Callable[..., Any],
    said: Callable[[Mapping[str, Any]], str],
    id_: str,
    reason: str,
    actor: str,
    config_folder: Path,
    json_wanted: bool,
) -> None:
    """Record a decision and say what happens next; `said` of the outcome has {0} where the day's name goes."""
    from ptbridge.specs.config import load_config

    if not reason.strip():
        raise click.BadParameter("is empty. Say why; it stays in the history.", param_hint="--reason")
    outcome = decision(load_config(config_folder), id_, reason.strip(), actor)
    if json_wanted:
        screen.put_json(outcome)
        return
    name = screen.clean(id_)
    screen.say(f"{said(outcome).format(name)} The reason stays: ptbridge explain {name}")
