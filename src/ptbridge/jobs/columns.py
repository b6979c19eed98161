"""From the visits that should bill to the claims that were made: six columns, and every difference between two with its reason.

    should bill → signed → charged → sent → accepted → claim

A column counts treatment days, visits, units and cents. What a day has in one column and not in the next is a gap: one row
with its reason, its owner and what to do. The gaps between two columns add up to their difference, to the cent; they may be
negative, when the biller has more than is judged right now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, NamedTuple

import msgspec

from ptbridge.jobs.bookings import Unseen
from ptbridge.jobs.owners import owner_of
from ptbridge.jobs.standing import delivery_fix, delivery_reason
from ptbridge.ledger import Ledger
from ptbridge.ledger.columns import DayFacts, OnItsWay
from ptbridge.ledger.restored import HELD_REASON
from ptbridge.model import Stage, Standing

COLUMNS = ("should bill", "signed", "charged", "sent", "accepted", "claim")
SCHEDULED = "scheduled"  # before them, where the EMR's schedule can be asked
EVERY_DAY = ("", "9999")
BUCKETS = ("0-2", "3-7", "8-30", ">30", "no date")

DAYS_TO_A_CLAIM = 2  # after the service date: until then a missing claim is no reason to ask the biller
# Findings that say the visit is not documented to the end: nothing can be judged before its author is done with it.
UNSIGNED = frozenset({"DC01", "DC03", "DC07", "DC10", "DC12", "MP90"})
# Findings about what stands at the biller: the charge itself passed every edit.
AT_THE_BILLER = frozenset({"SB01", "SB02", "SB04", "SB05", "RJ01", "RJ02"})
_INTEGRATOR = ("MP", "PX", "ED", "PC")


class Amount(NamedTuple):
    """What a column holds of one day: treatment days (0 or 1), visits, units, cents."""

    days: int = 0
    visits: int = 0
    units: int = 0
    cents: int = 0

    def minus(self, other: Amount) -> Amount:
        """The difference, each part for itself."""
        return Amount(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))

    def plus(self, other: Amount) -> Amount:
        """The sum, each part for itself."""
        return Amount(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class Why:
    """The reason of a gap, who owns the next step, and what it is. `codes` are finding codes or delivery's words."""

    codes: tuple[str, ...]
    reason: str
    owner: str  # clinic | biller | integrator | ptbridge
    do: str


@dataclass(slots=True)
class Walk:
    """One clinic's columns and gaps."""

    ledger: Ledger
    clinic: str
    today: date
    tells: bool
    dates: tuple[str, str] = EVERY_DAY
    unseen: Sequence[Unseen] | None = None  # appointments without a visit; None where the schedule cannot be asked

    def told(self) -> dict[str, Any]:
        """The columns, the gaps oldest first, their sums by age and owner, and what should not bill."""
        sums = [NOTHING] * len(COLUMNS)
        gaps = [_never_seen(one, self.today) for one in self.unseen or ()]
        should_not = Counter(self.ledger.columns.never_billed(self.clinic, self.dates))
        only_booked = Counter(one.day_id for one in self.unseen or () if one.day_id is not None)
        for day in self.ledger.columns.days(self.clinic, self.dates):
            if day.id in only_booked:  # that stands in the schedule: nobody said that it took place
                day = replace(day, billable=day.billable - only_booked[day.id])
            newest = self.ledger.columns.on_its_way(day.id) if _unfinished(day) else None
            amounts = amounts_of(day, newest, tells=self.tells)
            sums = [total.plus(amount) for total, amount in zip(sums, amounts, strict=True)]
            gaps += self._gaps(day, newest, amounts)
            if day.billable and amounts[0] == NOTHING:
                should_not["nothing-to-bill"] += day.billable
        for visit, reason, _ in self.ledger.columns.unread(self.clinic) if self.dates == EVERY_DAY else ():
            sums[0] = sums[0].plus(Amount(0, 1))
            gaps.append(_unread(visit, reason))
        return {
            "columns": self._named(sums),
            "gaps": gaps,
            "aged": _summed(gaps, "age"),
            "by_owner": _summed(gaps, "owner"),
            "should_not_bill": dict(sorted(should_not.items())),
        }

    def _named(self, sums: list[Amount]) -> list[dict[str, Any]]:
        """The columns that can be told: without a schedule there is no first, without a biller that tells no last one."""
        named = [_column(name, total) for name, total in zip(COLUMNS, sums, strict=True) if name != "claim" or self.tells]
        if self.unseen is None:
            return named
        booked = sums[0].plus(Amount(len(self.unseen), len(self.unseen)))
        return [_column(SCHEDULED, booked), *named]

    def _gaps(self, day: DayFacts, newest: OnItsWay | None, amounts: tuple[Amount, ...]) -> Iterator[dict[str, Any]]:
        findings: list[dict[str, Any]] | None = None
        for place in range(len(COLUMNS) - 1 if self.tells else len(COLUMNS) - 2):
            lost = amounts[place].minus(amounts[place + 1])
            if lost == NOTHING:
                continue
            if findings is None:
                findings = self._findings(day)
            why = _why(place, day, newest, findings, self.today)
            yield {
                "from": COLUMNS[place],
                "to": COLUMNS[place + 1],
                "reference": day.reference,
                "visits": self.ledger.columns.visits_of(day.id),
                "service_date": day.service_date,
                "age_days": _age(day.service_date, self.today),
                "age": bucket(day.service_date, self.today),
                **_parts(lost),
                "codes": why.codes,
                "reason": why.reason,
                "owner": why.owner,
                "do": why.do,
            }

    def _findings(self, day: DayFacts) -> list[dict[str, Any]]:
        """The findings that hold the day, from its judgement."""
        row = self.ledger.days.get(day.id)
        body = self.ledger.days.judgement(row) if row else None
        page = msgspec.json.decode(body) if body else {"findings": []}
        codes = set(day.reason.split())
        return [one for one in page["findings"] if one["severity"] == "error" and one["code"] in codes]


# ---------------------------------------------------------------- amounts


def _unfinished(day: DayFacts) -> bool:
    """Whether something about the day may be on its way: only then its newest submission matters."""
    return day.state != "sent" or day.live_units != day.units or day.live_cents != day.amount_cents


def amounts_of(day: DayFacts, newest: OnItsWay | None, *, tells: bool) -> tuple[Amount, ...]:
    """What the day holds in each column."""
    codes = set(day.reason.split())
    bills = day.state not in ("excluded", "voided") and day.billable > 0
    should = Amount(1, day.billable, day.units, day.amount_cents) if bills else NOTHING
    held = day.state == "held"
    signed = NOTHING if held and codes & UNSIGNED else should
    charged = NOTHING if day.state == "open" or (held and _by_findings(codes)) else signed
    live = Amount(1, day.billable or day.visits, day.live_units, day.live_cents) if day.live else NOTHING
    sent = live
    if newest is not None and newest.state in ("sending", "in-doubt"):
        sent = NOTHING if newest.frequency == "8" else Amount(1, day.billable, newest.units, newest.amount_cents)
    made = tells and Stage(day.stage) is not Stage.RECEIVED and day.standing != Standing.REJECTED
    return should, signed, charged, sent, live, live if made else NOTHING


def _by_findings(codes: set[str]) -> bool:
    """Whether a finding about the charge holds the day, and not its delivery or what the biller said."""
    return any(_is_code(code) and code not in AT_THE_BILLER for code in codes)


def _is_code(word: str) -> bool:
    return len(word) == 4 and word[:2].isupper() and word[2:].isdecimal()


# ---------------------------------------------------------------- reasons


def _why(place: int, day: DayFacts, newest: OnItsWay | None, findings: list[dict[str, Any]], today: date) -> Why:
    step = COLUMNS[place]
    if step in ("should bill", "signed"):
        return _not_charged(day, findings)
    if step == "charged":
        return _not_sent(day, newest, findings)
    if step == "sent":
        return Why(
            codes=("in-doubt",),
            reason="it was sent and the answer is not clear: the biller may have it",
            owner="ptbridge",
            do="The next sync or retry asks the biller; nothing is sent blindly.",
        )
    return _no_claim(day, findings, today)


def _not_charged(day: DayFacts, findings: list[dict[str, Any]]) -> Why:
    if day.state == "open":
        return Why(codes=("open",), reason="not judged yet", owner="ptbridge", do="Run ptbridge sync.")
    if findings:
        return _of_findings(findings)
    codes = tuple(day.reason.split())
    return Why(codes=codes, reason=f"held: {' '.join(codes)}", owner=_owner(codes), do="See ptbridge explain.")


def _of_findings(findings: list[dict[str, Any]], prefix: str = "") -> Why:
    codes = tuple(sorted({str(finding["code"]) for finding in findings}))
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    fix = str(first.get("fix") or "See ptbridge explain.")
    return Why(codes=codes, reason=f"{prefix}{first['message']}{more}", owner=_owner(codes), do=fix)


def _owner(codes: tuple[str, ...]) -> str:
    """Who must act: the integrator for words that nobody mapped and prices that nobody entered, else the clinic."""
    if any(code in AT_THE_BILLER for code in codes):
        return owner_of(codes)
    return "integrator" if codes and all(code.startswith(_INTEGRATOR) for code in codes) else "clinic"


def _not_sent(day: DayFacts, newest: OnItsWay | None, findings: list[dict[str, Any]]) -> Why:
    if newest is not None and newest.state == "queued":
        what = {"8": "a void is on its way", "7": "a replacement is on its way"}.get(newest.frequency, "it waits to be sent")
        tried = f", tried {newest.attempts} times" if newest.attempts else ""
        owner = "biller" if newest.attempts else "ptbridge"
        return Why(codes=("queued",), reason=f"{what}{tried}", owner=owner, do="The next sync or retry sends it.")
    if newest is not None and newest.state in ("sending", "in-doubt"):
        return Why(
            codes=("in-doubt",),
            reason="a correction was sent and the answer is not clear",
            owner="ptbridge",
            do="The next sync or retry asks the biller; nothing is sent blindly.",
        )
    if findings and day.live:
        return _of_findings(findings, prefix="the biller keeps the earlier version: ")
    if findings:
        return _of_findings(findings)
    if day.state == "held":
        word, _, _ = day.reason.partition(":")
        owner = "biller" if word in ("rejected", "attempts-exhausted", "in-doubt", HELD_REASON) else "clinic"
        return Why(codes=(word,), reason=delivery_reason(day.reason), owner=owner, do=delivery_fix(day.reason))
    return Why(
        codes=("changed",),
        reason="it is judged otherwise than what the biller has",
        owner="ptbridge",
        do="Run ptbridge sync; ptbridge changes shows the difference.",
    )


def _no_claim(day: DayFacts, findings: list[dict[str, Any]], today: date) -> Why:
    if day.standing == Standing.REJECTED and findings:
        return _of_findings(findings)
    if day.standing == Standing.REJECTED:
        return Why(
            codes=("rejected",), reason="rejected before adjudication", owner="biller", do="See ptbridge explain and denials."
        )
    fresh = (_age(day.service_date, today) or 0) <= DAYS_TO_A_CLAIM
    return Why(
        codes=("no-claim",),
        reason="accepted, and no claim was made of it yet",
        owner="biller",
        do="Nothing yet: billers take a day or two; ptbridge answers asks again." if fresh else "Ask the biller why.",
    )


# ---------------------------------------------------------------- shapes


def _age(service_date: str | None, today: date) -> int | None:
    return (today - date.fromisoformat(service_date)).days if service_date else None


def bucket(service_date: str | None, today: date) -> str:
    """How old a gap is, by days since the service: 0-2, 3-7, 8-30, >30, or `no date`."""
    age = _age(service_date, today)
    if age is None:
        return "no date"
    return "0-2" if age <= 2 else "3-7" if age <= 7 else "8-30" if age <= 30 else ">30"


def _parts(amount: Amount) -> dict[str, int]:
    return {"days": amount.days, "visits_count": amount.visits, "units": amount.units, "amount_cents": amount.cents}


def _column(name: str, total: Amount) -> dict[str, Any]:
    return {"name": name, "days": total.days, "visits": total.visits, "units": total.units, "amount_cents": total.cents}


def _unread(visit: str, reason: str) -> dict[str, Any]:
    """A record that could never be read: a visit of unknown worth."""
    return {
        "from": COLUMNS[0],
        "to": COLUMNS[1],
        "reference": None,
        "visits": (visit,),
        "service_date": None,
        "age_days": None,
        "age": "no date",
        **_parts(Amount(0, 1)),
        "codes": ("MP90",),
        "reason": reason,
        "owner": "integrator",
        "do": "Correct the record at its source, or the mapping; it is read again at the next sync.",
    }


def _never_seen(one: Unseen, today: date) -> dict[str, Any]:
    """An appointment that no visit belongs to: of unknown worth."""
    return {
        "from": SCHEDULED,
        "to": COLUMNS[0],
        "reference": one.reference,
        "visits": one.names,
        "service_date": one.service_date,
        "age_days": _age(one.service_date, today),
        "age": bucket(one.service_date, today),
        **_parts(Amount(1, 1)),
        "codes": (one.code,),
        "reason": one.reason,
        "owner": one.owner,
        "do": one.do,
    }


def _summed(gaps: list[dict[str, Any]], key: str) -> dict[str, dict[str, int]]:
    """Gaps, units and cents by one of their keys."""
    sums: dict[str, Counter[str]] = {}
    for gap in gaps:
        found = sums.setdefault(str(gap[key]), Counter())
        found.update(gaps=1, units=gap["units"], amount_cents=gap["amount_cents"])
    order = BUCKETS if key == "age" else sorted(sums)
    return {name: {part: sums[name][part] for part in ("gaps", "units", "amount_cents")} for name in order if name in sums}
