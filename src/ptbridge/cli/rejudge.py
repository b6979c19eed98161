"""`ptbridge rejudge`: what earlier days would be by the files of now, and the word to have it so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import clinic_option, config_option, date_of, json_option
from ptbridge.cli.worklist import actor_option
from ptbridge.model import dollars

_NAMED = 20  # days left as they are that the text names; --json has them all


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--since", metavar="DATE", callback=date_of, help="Days with this service date or a later one.")
@click.option("--until", metavar="DATE", callback=date_of, help="Days with this service date or an earlier one.")
@click.option("--apply", metavar="NAME", help="Have it done, if it still is what was shown under this name.")
@click.option("--reason", metavar="TEXT", default="", help="With --apply: why, in words that stay in the history.")
@actor_option
@config_option
@clinic_option
@json_option
def rejudge(
    ids: tuple[str, ...],
    since: date | None,
    until: date | None,
    apply: str | None,
    reason: str,
    actor: str,
    config_folder: Path,
    clinic: str | None,
    json_wanted: bool,
) -> int:
    """Judge earlier days by the files of now: first shown, then done if asked.

    After a mapping, price, policy or payer was corrected. Shows each day that would come out otherwise: before and after
    in units and dollars, and how it would go. Nothing is changed and nobody is asked: the records are those that ptbridge
    has. With --apply and the name that was shown, the next sync does exactly that. ID is a visit or a treatment day.
    """
    from ptbridge import jobs
    from ptbridge.specs.config import load_config

    config = load_config(config_folder)
    scope = jobs.Scope(clinic=clinic, since=since, until=until, names=ids)
    with screen.Progress(quiet=json_wanted) as progress:
        answer = jobs.rejudge(config, scope, apply=apply, reason=reason, actor=actor, progress=progress)
    if json_wanted:
        screen.put_json(answer)
    else:
        _show(answer, apply)
    return exit_codes.HELD if apply is not None and not answer["applied"] else exit_codes.DONE


def _show(answer: Mapping[str, Any], apply: str | None) -> None:
    for row in answer["days"]:
        _show_day(row)
    for message, names in _left_out(answer).items():
        more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        screen.say(screen.wrapped(f"\n{screen.count(len(names), 'treatment day')}: {message}"))
        screen.say(screen.wrapped(", ".join(names[:_NAMED]) + more, indent="  "))
    judged = screen.count(answer["judged"], "treatment day")
    if not answer["days"]:
        screen.say(f"{judged} judged anew: nothing would change.")
    else:
        screen.say(f"\n{judged} judged anew, {len(answer['days']):,} would come out otherwise", bold=True)
        for key, words in (("goes", "by itself"), ("held", "held for a person")):
            total = answer["totals"][key]
            if total["days"]:
                screen.say(f"  {words}: {screen.count(total['days'], 'treatment day')}, {_difference(total)}")
    screen.say(_next_word(answer, apply))


def _next_word(answer: Mapping[str, Any], apply: str | None) -> str:
    """What happened, and what to type next."""
    if answer["applied"]:
        return "The next sync does exactly this, and the reason stays: ptbridge explain ID. Until then nothing has changed."
    if apply is not None:
        return f"Nothing was changed: it is no longer what was shown as {screen.clean(apply)}. {_to_apply(answer)}"
    return f"Nothing was changed. {_to_apply(answer)}".rstrip()


def _to_apply(answer: Mapping[str, Any]) -> str:
    return f"To have exactly this, add: --apply {answer['name']} --reason TEXT" if answer["name"] else ""


def _left_out(answer: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in answer["left_out"]:
        found.setdefault(one["message"], []).append(screen.clean(f"{one['id']} ({one['service_date']})"))
    return found


def _show_day(row: Mapping[str, Any]) -> None:
    """One day: before and after, what is read otherwise, how it would go."""
    before, after = row["before"], row["after"]
    name = " ".join(screen.clean(visit) for visit in row["visits"] or [row["id"]])
    facts = [fact for fact in (row["service_date"], row["discipline"]) if fact]
    screen.say(f"\n  {name}", bold=True, nl=False)
    screen.say("".join(f"  {screen.clean(fact)}" for fact in facts) + f"  {before['state']} -> {after['state']}")
    for word, one in (("before", before), ("after", after)):
        lines = ", ".join(one["lines"]) or "nothing"
        amount = f"{screen.count(one['units'], 'unit')}, {dollars(one['amount_cents'])}"
        screen.say(screen.wrapped(f"{lines}: {amount}", indent=f"    {word:<7}", then=" " * 11))
    screen.say(f"    differs {_difference(row['difference'])}")
    for what in [f"{one['visit_id']}: {one['what']}" for one in row["read_otherwise"]] + row["facts"]:
        screen.say(screen.wrapped(what, indent="    read   ", then=" " * 11))
    window = f", after {row['hold_window_minutes']} minutes of the hold window" if row["hold_window_minutes"] else ""
    follows = "" if row["asked"] else "; follows from another day"
    screen.say(screen.wrapped(f"{row['action']}{window}{follows}; to act: {row['who']}", indent="    next   ", then=" " * 11))
    for reason in row["reasons"]:
        screen.say(screen.wrapped(f"{reason['code']} {reason['message']}", indent="    ", then=" " * 9))


def _difference(total: Mapping[str, Any]) -> str:
    return f"{total['units']:+d} units, {dollars(total['amount_cents'])}"
