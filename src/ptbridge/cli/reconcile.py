"""`ptbridge reconcile`: from the visits that should bill to the claims that were made, and the biller's list against ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import clinic_option, config_option, date_of, json_option
from ptbridge.model import dollars

_GAPS_SHOWN, _NAMES_SHOWN = 40, 6
_MISSING = {"should bill": "no visit", "claim": "no claim"}  # what a gap before this column is called; else `not signed` …
_ORDER = ("scheduled", "should bill", "signed", "charged", "sent", "accepted")


@click.command()
@config_option
@clinic_option
@click.option("--since", metavar="DATE", callback=date_of, help="Only service dates from this day on.")
@click.option("--until", metavar="DATE", callback=date_of, help="Only service dates up to this day.")
@click.option("--no-schedule", is_flag=True, help="Do not ask the EMR for its appointments.")
@click.option("--all", "everything", is_flag=True, help="Show every gap with all its visits.")
@json_option
def reconcile(
    config_folder: Path,
    clinic: str | None,
    since: date | None,
    until: date | None,
    no_schedule: bool,
    everything: bool,
    json_wanted: bool,
) -> int:
    """Compare the ledger with what the biller has.

    Follows every visit from the schedule to the claim in counts, units and dollars; each one that did not come through
    stands with its reason, its age, who must act and what to do. Then asks the biller what it holds. Sends nothing,
    changes nothing; exit code 9 when the biller's list differs, 3 while an answer could not be read and nobody has looked
    at it.
    """
    from ptbridge import jobs
    from ptbridge.specs.config import load_config

    config = load_config(config_folder)
    answer: Mapping[str, Any] = screen.plain(jobs.reconcile(config, clinic, since=since, until=until, schedule=not no_schedule))
    if json_wanted:
        screen.put_json(answer)
    else:
        for name, compared in answer.items():
            show_reconciled(name, compared, _GAPS_SHOWN if not everything else len(compared["gaps"]) + _GAPS_SHOWN + 1)
    return _exit_code(answer.values())


def _exit_code(answers: Any) -> int:
    if any(compared["agrees"] is False for compared in answers):
        return exit_codes.DIFFERENCE
    if any(compared["errors"] for compared in answers):
        return exit_codes.PEER
    return exit_codes.HELD if any(compared["unread_answers"] for compared in answers) else exit_codes.DONE


def show_reconciled(name: str, compared: Mapping[str, Any], shown: int) -> None:
    """The columns, the gaps between them, our total and the biller's, and each difference by our reference."""
    screen.say(screen.clean(name), bold=True)
    rows = [
        (
            column["name"],
            f"{column['days']:,}",
            f"{column['visits']:,}",
            f"{column['units']:,}",
            dollars(column["amount_cents"]),
        )
        for column in compared["columns"]
    ]
    screen.say(screen.table(rows, headings=("", "days", "visits", "units", "amount"), right=(1, 2, 3, 4)))
    if compared["should_not_bill"]:
        words = ", ".join(f"{count:,} {screen.clean(rule)}" for rule, count in compared["should_not_bill"].items())
        screen.say(screen.wrapped(f"visits that should not bill: {words}", indent="  ", then="    "), dim=True)
    _show_purged(compared["purged"])
    _show_gaps(compared["gaps"], compared, shown)
    for one in compared["missed_but_charged"]:
        screen.say(
            screen.wrapped(f"{one['appointment']} of {one['service_date']}: {one['why']}", indent="  ", then="    "), fg="red"
        )
        screen.say(screen.wrapped(one["do"], indent="      -> ", then="         "))
    _show_biller(compared)
    for error in compared["errors"]:
        screen.say(screen.wrapped(error, indent="  error: ", then="    "), fg="red")


def _show_purged(purged: Mapping[str, Any]) -> None:
    """What stands in the sums above and below and has no texts any more, so that nobody looks for them."""
    if not purged["days"]:
        return
    days, units = screen.count(purged["days"], "treatment day"), screen.count(purged["units"], "unit")
    live = f"{units} and {dollars(purged['amount_cents'])} live"
    words = (
        f"purged: {days} of these, with {live}, the last on {purged['last_at'][:10]}."
        " They count in every sum here; names, notes and what was sent are gone."
    )
    screen.say(screen.wrapped(words, indent="  ", then="    "), dim=True)


def _show_gaps(gaps: Sequence[Mapping[str, Any]], compared: Mapping[str, Any], shown: int) -> None:
    if not gaps:
        screen.say("  Nothing is missing between the columns.", fg="green")
        return
    aged = ", ".join(f"{row['gaps']:,} at {age} days ({dollars(row['amount_cents'])})" for age, row in compared["aged"].items())
    owners = ", ".join(
        f"{row['gaps']:,} {owner} ({dollars(row['amount_cents'])})" for owner, row in compared["by_owner"].items()
    )
    screen.say(f"\n  {screen.count(len(gaps), 'gap')} by age: {aged.replace('at no date days', 'without a date')}")
    screen.say(f"  by who must act: {owners}")
    alike = _alike(gaps)
    for some in alike[:shown]:
        _show_alike(some, shown)
    if len(alike) > shown:
        screen.say(f"\n  {len(alike) - shown:,} more reasons: ptbridge reconcile --all")


def _alike(gaps: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Gaps with the same step, reason and owner as one, from the first column on; the oldest first in each."""
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for gap in gaps:
        found.setdefault((gap["from"], gap["reason"], gap["do"], gap["owner"]), []).append(gap)
    return sorted(found.values(), key=lambda some: _ORDER.index(some[0]["from"]))


def _show_alike(some: Sequence[Mapping[str, Any]], shown: int) -> None:
    first = some[0]
    units, cents = sum(gap["units"] for gap in some), sum(gap["amount_cents"] for gap in some)
    dates = sorted({gap["service_date"] for gap in some if gap["service_date"]})
    when = " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else ""
    many = f"{screen.count(len(some), 'treatment day')}, " if len(some) > 1 else ""
    screen.say(f"\n  {many}{_MISSING.get(first['to'], 'not ' + first['to'])}", bold=True, nl=False)
    screen.say(
        "".join(f"  {screen.clean(fact)}" for fact in (when, f"{units:+,} units", dollars(cents), first["owner"]) if fact)
    )
    codes = " ".join(screen.clean(code) for code in first["codes"])
    screen.say(screen.wrapped(f"{codes}: {first['reason']}", indent="    ", then="      "))
    screen.say(screen.wrapped(first["do"], indent="      -> ", then="         "))
    names = [" ".join(gap["visits"]) or str(gap["reference"]) for gap in some]
    limit = _NAMES_SHOWN if shown == _GAPS_SHOWN else len(names)
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    screen.say(screen.wrapped(f"{', '.join(names[:limit])}{more}", indent="      ", then="      "), dim=True)


def _show_biller(compared: Mapping[str, Any]) -> None:
    rows = [(who, *_total(compared[key])) for who, key in (("ledger", "ours"), ("biller", "theirs")) if compared.get(key)]
    screen.say()
    screen.say(screen.table(rows, headings=("", "charges", "units", "amount"), right=(1, 2, 3)))
    if compared["agrees"]:
        screen.say("  The biller agrees, unit for unit and cent for cent.", fg="green")
    elif compared["agrees"] is None:
        screen.say("  The biller cannot be asked for its list.")
    for difference in compared["differences"]:
        screen.say(screen.wrapped(f"{difference['reference']}: {difference['why']}", indent="  ", then="    "), fg="red")
        screen.say(screen.wrapped(f"{difference['owner']}: {difference['do']}", indent="      -> ", then="         "))
    _show_orphans(compared["orphan_news"])


def _show_orphans(news: Sequence[Mapping[str, Any]]) -> None:
    """Answers that belong to nothing that was sent: those that could not be read by name, the others as a number."""
    unreadable = [one for one in news if one.get("unreadable")]
    for one in unreadable:
        if not one["seen"]:
            text = f"an answer could not be read: {one['unreadable']}"
            screen.say(screen.wrapped(text, indent="  ", then="    "), fg="red")
            screen.say(f"      -> looked at: ptbridge answers --seen {one['id']} --reason TEXT")
    if len(news) > len(unreadable):
        many = screen.count(len(news) - len(unreadable), "answer")
        screen.say(f"  {many} about charges that this ledger never sent: see --json")


def _total(total: Mapping[str, int]) -> tuple[str, str, str]:
    return f"{total['charges']:,}", f"{total['units']:,}", dollars(total["amount_cents"])
