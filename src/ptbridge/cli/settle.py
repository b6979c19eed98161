"""`ptbridge settle`: a person who has looked says what the biller has of a treatment day."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import config_option, json_option
from ptbridge.cli.worklist import actor_option
from ptbridge.model import dollars


@click.command()
@click.argument("id_", metavar="ID")
@click.option("--biller-has", "has", metavar="WHAT", help="A submission's number, `judged`, or `nothing`.")
@click.option("--biller-id", metavar="TEXT", help="The biller's own id of it, where you have it.")
@click.option("--payer-number", metavar="TEXT", help="The payer's claim number, where you have it.")
@click.option("--apply", metavar="NAME", help="Have it written, if it still is what was shown under this name.")
@click.option("--reason", metavar="TEXT", default="", help="With --apply: why, in words that stay in the history.")
@actor_option
@config_option
@json_option
def settle(
    id_: str,
    has: str | None,
    biller_id: str | None,
    payer_number: str | None,
    apply: str | None,
    reason: str,
    actor: str,
    config_folder: Path,
    json_wanted: bool,
) -> int:
    """Say what the biller has of a visit, when you have looked there.

    For what nobody else can tell: an answer that stays lost, a day held since a restore, a correction of something that is no
    longer there. Shows what the ledger would know then and what would follow; with --apply and the name that was shown it is
    written. Nothing is sent by it. The biller is asked first where it can be, and a word against what it says is not taken
    (exit code 9). Without --biller-has it shows what can be said.
    """
    from ptbridge import jobs
    from ptbridge.specs.config import load_config

    answer = jobs.biller_has(
        load_config(config_folder),
        id_,
        has,
        biller_id=biller_id,
        payer_number=payer_number,
        apply=apply,
        reason=reason,
        actor=actor,
    )
    if json_wanted:
        screen.put_json(answer)
    else:
        _show(answer, apply)
    if answer["contradicts"]:
        return exit_codes.DIFFERENCE
    return exit_codes.HELD if apply is not None and not answer["applied"] else exit_codes.DONE


def _show(answer: Mapping[str, Any], apply: str | None) -> None:
    name = " ".join(screen.clean(visit) for visit in answer["visits"] or [answer["id"]])
    facts = [fact for fact in (answer["service_date"], answer["discipline"]) if fact]
    held = f"  held: {answer['reason']}" if answer["state"] == "held" else f"  {answer['state']}"
    screen.say(name, bold=True, nl=False)
    screen.say("".join(f"  {screen.clean(fact)}" for fact in facts) + screen.clean(held))
    _put("live", _worth(answer["before"]))
    _put("biller", screen.clean(answer["biller"]))
    if answer["says"] is None:
        _show_choices(answer)
        return
    _put("then", _worth(answer["has"]))
    _put("next", screen.clean(_follows(answer["follows"])))
    screen.say(_next_word(answer, apply))


def _put(word: str, text: str) -> None:
    screen.say(screen.wrapped(text, indent=f"    {word:<7}", then=" " * 11))


def _show_choices(answer: Mapping[str, Any]) -> None:
    """What can be said of this day, and what each means."""
    screen.say("\nWhat you have seen there:")
    for one in answer["choices"]:
        worth = f": {_worth(one)}" if "units" in one else ""
        _put("", f"--biller-has {one['has']}  {one['what']}{worth}")
    screen.say("Nothing is written before you have seen what would come of it. If the biller has something else, have it")
    screen.say("made right there first.")


def _worth(counted: Mapping[str, Any] | None) -> str:
    """Lines, units and dollars."""
    if counted is None:
        return "nothing"
    lines = ", ".join(screen.clean(line) for line in counted["lines"])
    worth = f"{screen.count(counted['units'], 'unit')}, {dollars(counted['amount_cents'])}"
    return f"{lines}: {worth}" if lines else worth


def _follows(follows: Mapping[str, Any]) -> str:
    worth = f": {follows['units']} units, {dollars(follows['amount_cents'])}" if follows["frequency"] in ("1", "7") else ""
    reasons = f" ({' '.join(follows['reasons'])})" if follows["state"] == "held" else ""
    return f"the next sync: {follows['action']}{worth}{reasons}"


def _next_word(answer: Mapping[str, Any], apply: str | None) -> str:
    """What happened, and what to type next."""
    if answer["contradicts"]:
        return f"Nothing was written: {screen.clean(answer['contradicts'])}"
    if answer["applied"]:
        return f"Written, and nothing was sent. The reason stays: ptbridge explain {screen.clean(answer['id'])}"
    to_apply = f"To have exactly this written, add: --apply {answer['name']} --reason TEXT"
    if apply is not None:
        return f"Nothing was written: it is no longer what was shown as {screen.clean(apply)}. {to_apply}"
    return f"Nothing was written. {to_apply}"
