"""`ptbridge units`: the units of one treatment day, asked on the command line or by a program, line by line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import config_option, date_of

if TYPE_CHECKING:
    from ptbridge.policy import Policy


@click.command()
@click.argument("services", metavar="CODE=MINUTES...", nargs=-1)
@click.option("--policy", "policy_name", metavar="NAME", required=True, help="Payer policy such as medicare_part_b.")
@click.option("--discipline", type=click.Choice(("PT", "OT", "SLP"), case_sensitive=False), help="For GP, GO or GN.")
@click.option("--on", metavar="DATE", callback=date_of, help="Service date; rules have dates.  [default: today]")
@config_option
@click.option("--json", "json_wanted", is_flag=True, help="JSON Lines on standard input, one JSON line for each.")
def units(
    services: tuple[str, ...],
    policy_name: str,
    discipline: str | None,
    on: date | None,
    config_folder: Path,
    json_wanted: bool,
) -> int:
    """Count the units of one treatment day, with the reasons.

    97110=33 is 33 minutes of 97110; 97110=13+20 is 13 by the therapist and 20 by the assistant; an untimed code stands
    alone. With --json and no services, each line of standard input is a treatment day: {"lines": [{"code": "97110",
    "minutes": 33}], "discipline": "PT"}, where a line may give therapist_minutes and assistant_minutes instead.
    """
    from ptbridge.coding import parse_units_argument, units_answer

    on = on or date.today()  # noqa: DTZ011 - the civil day of whoever asks
    policy = _policy(policy_name, config_folder)
    if not services:
        if json_wanted and discipline:
            raise click.UsageError(
                "each JSON line gives its own discipline; leave --discipline out.", click.get_current_context()
            )
        if json_wanted:
            return _json_lines(policy, on)
        raise click.UsageError("name at least one service, such as 97110=33.", click.get_current_context())
    try:
        lines = [parse_units_argument(text) for text in services]
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None
    answer = units_answer(policy, lines, discipline, on)
    if json_wanted:
        screen.put_json(answer, lines=True)
    elif "error" in answer:
        raise click.UsageError(answer["error"])
    else:
        _show(answer, policy, on)
    return exit_codes.USAGE if "error" in answer else exit_codes.DONE


def _policy(name: str, config_folder: Path) -> Policy:
    """A policy by its name; those in the config folder's payers/ override the shipped ones, as in a run."""
    from ptbridge.cli.payer_policies import policies_for

    policies = policies_for(config_folder)
    if name not in policies:
        raise click.BadParameter(f"there is no policy {name!r}. Known: {', '.join(sorted(policies))}.", param_hint="--policy")
    return policies[name]


def _json_lines(policy: Policy, on: date) -> int:
    """Answer each line of standard input as it comes. A bad line answers with its error and does not stop the rest."""
    from ptbridge.coding.units_answer import answer_json_line
    from ptbridge.policy import load_codes

    codes, wrong = load_codes(), 0
    for text in sys.stdin.buffer:
        if text.strip():
            answer = answer_json_line(text, policy, on, codes=codes)
            wrong += "error" in answer
            screen.put_json(answer, lines=True)
    return exit_codes.USAGE if wrong else exit_codes.DONE


def _show(answer: Mapping[str, Any], policy: Policy, on: date) -> None:
    for line in answer["lines"]:
        screen.say("-".join((line["code"], *line["modifiers"])) + f" x{line['units']}", bold=True)
    if not answer["lines"]:
        screen.say("nothing to bill", bold=True)
    for reason in answer["because"]:
        screen.say(screen.wrapped(reason, indent="  ", then="    "))
    if len(answer["acceptable"]) > 1:
        screen.say("\nAlso right:")
        for other in answer["acceptable"][1:]:
            screen.say("  " + ", ".join(f"{code} x{number}" for code, number in other.items()))
    screen.say(f"\n{policy.title}, service date {on}.", dim=True)
