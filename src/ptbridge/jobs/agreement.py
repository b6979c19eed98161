"""Does the biller have what the ledger says it has? Unit for unit and cent for cent, every difference named."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any

from ptbridge.errors import PeerError
from ptbridge.jobs.answers import is_unread
from ptbridge.jobs.bookings import Schedule
from ptbridge.jobs.columns import EVERY_DAY, Walk
from ptbridge.jobs.owners import owner_of
from ptbridge.jobs.peers import open_destination
from ptbridge.jobs.schedule import past_schedule
from ptbridge.jobs.standing import clinic_names, delivery_fix, delivery_reason
from ptbridge.ledger import Ledger
from ptbridge.ledger.restored import HELD_REASON
from ptbridge.ports import Destination, HearingDestination
from ptbridge.specs.clinic import ClinicSpec
from ptbridge.specs.config import Config

Live = dict[str, tuple[int, int]]  # reference -> (units, cents)

DAYS_AFTER_A_RUN = 31  # a run asks about the service dates it sent, when they are not more than a month apart


def reconcile(
    config: Config, clinic: str | None = None, since: date | None = None, until: date | None = None, schedule: bool = True
) -> dict[str, Any]:
    """Per clinic: from the visits that should bill to the claims that were made, then the biller's own list against ours.

    `since` and `until` bound the service dates (both included). `schedule` asks the EMR for its appointments too. Reads only.
    Keys: `columns`, `gaps`, `aged`, `by_owner`, `should_not_bill` (jobs/columns.py); `agrees` (None: cannot be asked), `ours`,
    `theirs`, `differences`; `missed_but_charged` (jobs/bookings.py); `orphan_news`, and of it `unread_answers`; `purged`
    (still in every sum, its texts gone); `errors` about an EMR or a biller that is away.
    """
    dates = (since.isoformat() if since else EVERY_DAY[0], until.isoformat() if until else EVERY_DAY[1])
    with Ledger.open(config.state, write=False) as ledger:
        names = clinic_names(config, clinic)
        return {name: asyncio.run(_Clinic(config, ledger, name, dates).reconciled(schedule)) for name in names}


@dataclass(frozen=True, slots=True)
class _Clinic:
    """One clinic's reconcile."""

    config: Config
    ledger: Ledger
    name: str
    dates: tuple[str, str]

    async def reconciled(self, schedule: bool) -> dict[str, Any]:
        spec, ledger = self.config.clinics[self.name], self.ledger
        today = datetime.now(self.config.time_zone(spec)).date()
        errors: list[str] = []
        booked = await self._schedule(spec, today, errors) if schedule else None
        async with open_destination(self.config, spec, run_id="reconcile") as destination:
            compared = await self._compared(destination, self._asked(today), errors)
            hop_only = isinstance(destination, HearingDestination)  # it says that its application took a charge, never more
        walk = Walk(
            ledger=ledger,
            clinic=self.name,
            today=today,
            tells=not hop_only and ledger.columns.tells(self.name, spec.destination.platform),
            dates=self.dates,
            unseen=booked.unseen if booked else None,
        )
        return {
            **walk.told(),
            **compared,
            "missed_but_charged": [asdict(one) for one in booked.missed_but_charged] if booked else [],
            "orphan_news": (orphans := ledger.standings.orphans(self.name)),
            "unread_answers": [one["id"] for one in orphans if is_unread(one)],
            "purged": ledger.purge.standing(self.name, self.dates),
            "errors": errors,
        }

    async def _compared(self, destination: Destination, dates: tuple[str, str], errors: list[str]) -> dict[str, Any]:
        """A biller that is away hides neither the columns nor what another clinic's biller has."""
        try:
            return await agreement(self.ledger, destination, self.name, dates)
        except PeerError as error:
            errors.append(f"the biller could not be asked: {error}")
            return compare(self.ledger.accounts.live(self.name, dates), None, set())

    async def _schedule(self, spec: ClinicSpec, today: date, errors: list[str]) -> Schedule | None:
        try:
            return await past_schedule(self.config, self.ledger, spec, today, self.dates)
        except PeerError as error:
            errors.append(f"the schedule could not be asked: {error}")
            return None

    def _asked(self, today: date) -> tuple[str, str]:
        """The service dates that the biller is asked about: ours and a month on either side, for what only it has."""
        live = self.ledger.accounts.live_dates(self.name) or (today.isoformat(), today.isoformat())
        margin = timedelta(days=DAYS_AFTER_A_RUN)
        first = min(date.fromisoformat(live[0]), today) - margin
        last = max(date.fromisoformat(live[1]), today) + margin
        return max(first.isoformat(), self.dates[0]), min(last.isoformat(), self.dates[1])


async def agreement_after(ledger: Ledger, destination: Destination, clinic: str, run_id: int) -> dict[str, Any] | None:
    """The same question about the service dates of a run just finished.

    None when it sent nothing, or over too many days, or to a platform whose list lags: asked now, it would seem to miss it.
    """
    if destination.capabilities.find_lag_seconds:
        return None
    dates = ledger.accounts.live_dates(clinic, accepted_run=run_id)
    if dates is None or (date.fromisoformat(dates[1]) - date.fromisoformat(dates[0])).days > DAYS_AFTER_A_RUN:
        return None
    return await agreement(ledger, destination, clinic, dates)


async def agreement(ledger: Ledger, destination: Destination, clinic: str, dates: tuple[str, str]) -> dict[str, Any]:
    """Ask the biller about a range of service dates and compare. What still waits for an answer is no difference."""
    theirs = await destination.list_references(dates)
    gone: set[str] = set()
    if destination.capabilities.rejected_is_gone:
        gone = ledger.accounts.turned_away(clinic) | ledger.accounts.rejected(clinic)
    if theirs:
        theirs = ledger.names.all_whole(clinic, theirs)
        for reference in gone & theirs.keys():
            del theirs[reference]  # a folder's receipts still list what the payer never got
    if theirs is not None and destination.capabilities.own_receipts:
        _as_people_said(theirs, ledger.said.by_word(clinic, dates))
    waiting = {str(row["reference"]) for row in ledger.accounts.waiting(clinic)}
    live = ((reference, counted) for reference, counted in ledger.accounts.live(clinic, dates) if reference not in gone)
    compared = compare(live, theirs, waiting)
    for difference in compared["differences"]:
        difference |= _as_this_ledger_knows_it(ledger, clinic, difference)
    return _with_disputed(compared, ledger.said.disputed(clinic, dates))


def _with_disputed(compared: dict[str, Any], references: Sequence[str]) -> dict[str, Any]:
    """And days of which the payer decided a charge that is not there by a person's word, whatever the lists say."""
    if not references:
        return compared
    disputed = [{"reference": reference, "ours": None, "theirs": None, **_STEP[_DISPUTED]} for reference in references]
    return {
        **compared,
        "agrees": False,
        "differences": [*compared["differences"], *({**one, "why": _DISPUTED} for one in disputed)],
    }


def _as_people_said(theirs: Live, words: Mapping[str, tuple[int, int] | None]) -> None:
    """Receipts tell what left here; a person who has seen what the biller has of it goes before them. In place."""
    for reference, counted in words.items():
        theirs.pop(reference, None)
        if counted is not None:
            theirs[reference] = counted


def _as_this_ledger_knows_it(ledger: Ledger, clinic: str, difference: dict[str, Any]) -> dict[str, Any]:
    """The reason, the owner and what to do, where this ledger knows the day and why it may differ."""
    reference, ours, theirs = difference["reference"], difference["ours"], difference["theirs"]
    days = [day for day in ledger.days.named(reference) if day.clinic == clinic and day.reference == reference]
    if not days:
        return {}
    if theirs is None:
        return {"owner": "clinic", "do": _TAKEN_BACK} if ledger.restored.is_older(days[0].id) else {}
    state, reason = days[0].state, days[0].reason or ""
    if (state, reason) == ("held", HELD_REASON):
        return {"why": delivery_reason(reason), "owner": "biller", "do": delivery_fix(reason)}
    if state == "held" and ledger.restored.remembers(clinic, reference):
        why = f"the biller has it from before the restore, and here it is held: {reason}"
        return {"why": why, "owner": owner_of(reason.split()), "do": _MEND}
    if ours is None and state in ("excluded", "voided"):
        why = f"the biller has it, and nothing of that day is billed here ({state})"
        return {"why": why, "owner": "biller", "do": _TAKE_OUT}
    return {}


def compare(ours: Iterable[tuple[str, tuple[int, int]]], theirs: Live | None, waiting: set[str]) -> dict[str, Any]:
    """The two counts and every difference. `theirs` None: this destination cannot be asked.

    `theirs` is used up, and of what agrees nothing is kept: a first run of 100,000 days has the biller's list in memory once.
    """
    here, there = dict.fromkeys(_COUNTED, 0), None if theirs is None else _totals(theirs)
    differences: list[dict[str, Any]] = []
    for reference, mine in ours:
        for name, counted in zip(_COUNTED, (1, *mine), strict=True):
            here[name] += counted
        if theirs is not None:
            differences += _differing(reference, mine, theirs.pop(reference, None), waiting)
    for reference, left in (theirs or {}).items():
        differences += _differing(reference, None, left, waiting)
    differences.sort(key=itemgetter("reference"))
    return {
        "agrees": None if theirs is None else not differences,
        "ours": here,
        "theirs": there,
        "differences": differences,
    }


def _totals(live: Live) -> dict[str, int]:
    units, cents = sum(units for units, _ in live.values()), sum(cents for _, cents in live.values())
    return dict(zip(_COUNTED, (len(live), units, cents), strict=True))


def _differing(
    reference: str, mine: tuple[int, int] | None, counted: tuple[int, int] | None, waiting: set[str]
) -> Iterator[dict[str, Any]]:
    """The difference, unless there is none or an answer about it is waited for."""
    why = _difference(mine, counted, reference in waiting)
    if why:
        yield {"reference": reference, "ours": mine, "theirs": counted, "why": why, **_STEP[why]}


def _difference(mine: tuple[int, int] | None, theirs: tuple[int, int] | None, waits: bool) -> str:
    if mine == theirs or waits:
        return ""
    return _MISSING if theirs is None else _FOREIGN if mine is None else _CHANGED


_COUNTED = ("charges", "units", "amount_cents")
_MISSING = "missing at the biller: it was accepted and is not there now"
_FOREIGN = "only at the biller: this ledger has no live charge of that reference"
_CHANGED = "units or amount differ"
_DISPUTED = "the payer has decided about a charge that is not there, as a person said"
_MEND = "Mend what holds it (`ptbridge explain`); the next sync then settles it with what the biller has."
_TAKEN_BACK = (
    "Ask who took it back: the biller, or ptbridge after the backup that this ledger was restored from. Then `ptbridge settle"
    " ID --biller-has nothing` has it billed as an original again, and `ptbridge exclude ID --reason` takes it out here too:"
    " what the EMR changes after that goes as an original."
)
_TAKE_OUT = "Have the biller take it out; `ptbridge explain` shows why nothing is billed."
_STEP = {
    _DISPUTED: {
        "owner": "biller",
        "do": "Look at the biller's again: it may have two charges of that day. Say what you see with `ptbridge settle ID`;"
        " `ptbridge explain` shows the answer.",
    },
    _MISSING: {
        "owner": "biller",
        "do": "Ask the biller who took it out; `ptbridge explain` shows when it was accepted. Where it is to be billed again:"
        " `ptbridge settle ID --biller-has nothing`.",
    },
    _FOREIGN: {
        "owner": "biller",
        "do": "Ask the biller where it comes from; a charge that nobody documented must not be paid.",
    },
    _CHANGED: {"owner": "biller", "do": "Ask the biller who changed it; ptbridge explain shows what was accepted."},
}
