"""Does the biller have what the ledger says it has? Unit for unit and cent for cent, every difference named."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

from ptbridge.jobs.peers import open_destination
from ptbridge.jobs.standing import clinic_names
from ptbridge.ledger import Ledger
from ptbridge.ports import Destination
from ptbridge.specs.config import Config

Live = dict[str, tuple[int, int]]  # reference -> (units, cents)

DAYS_AFTER_A_RUN = 31  # a run asks about the service dates it sent, when they are not more than a month apart


def reconcile(config: Config, clinic: str | None = None) -> dict[str, Any]:
    """Per clinic: what should be live at the biller against what it says it has."""
    found: dict[str, Any] = {}
    with Ledger.open(config.state, write=False) as ledger:
        for name in clinic_names(config, clinic):
            dates = ledger.accounts.live_dates(name)
            found[name] = asyncio.run(_ask(config, ledger, name, dates)) if dates else compare({}, {}, set())
    return found


async def _ask(config: Config, ledger: Ledger, name: str, dates: tuple[str, str]) -> dict[str, Any]:
    async with open_destination(config, config.clinics[name], run_id="reconcile") as destination:
        return await agreement(ledger, destination, name, dates)


async def agreement_after(ledger: Ledger, destination: Destination, clinic: str, run_id: int) -> dict[str, Any] | None:
    """The same question about the service dates of a run just finished; None when it sent nothing, or over too many days."""
    dates = ledger.accounts.live_dates(clinic, accepted_run=run_id)
    if dates is None or (date.fromisoformat(dates[1]) - date.fromisoformat(dates[0])).days > DAYS_AFTER_A_RUN:
        return None
    return await agreement(ledger, destination, clinic, dates)


async def agreement(ledger: Ledger, destination: Destination, clinic: str, dates: tuple[str, str]) -> dict[str, Any]:
    """Ask the biller about a range of service dates and compare. What still waits for an answer is no difference."""
    theirs = await destination.list_references(dates)
    waiting = {str(row["reference"]) for row in ledger.accounts.waiting(clinic)}
    return compare(ledger.accounts.live(clinic, dates), theirs, waiting)


def compare(ours: Live, theirs: Live | None, waiting: set[str]) -> dict[str, Any]:
    """The two counts and every difference. `theirs` None: this destination cannot be asked."""
    if theirs is None:
        return {"agrees": None, "ours": _totals(ours), "theirs": None, "differences": []}
    differences = [
        {"reference": reference, "ours": ours.get(reference), "theirs": theirs.get(reference), "why": why}
        for reference in sorted(ours.keys() | theirs.keys())
        if (why := _difference(ours.get(reference), theirs.get(reference), reference in waiting))
    ]
    return {"agrees": not differences, "ours": _totals(ours), "theirs": _totals(theirs), "differences": differences}


def _totals(live: Live) -> dict[str, int]:
    return {
        "charges": len(live),
        "units": sum(units for units, _ in live.values()),
        "amount_cents": sum(amount for _, amount in live.values()),
    }


def _difference(mine: tuple[int, int] | None, theirs: tuple[int, int] | None, waits: bool) -> str:
    if mine == theirs or waits:
        return ""
    if theirs is None:
        return "missing at the biller: it was accepted and is not there now"
    if mine is None:
        return "only at the biller: this ledger has no live charge of that reference"
    return "units or amount differ"
