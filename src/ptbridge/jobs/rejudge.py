"""Judging earlier days by the files of now, because a person asks: first what would come of it, then just that.

A new mapping, price or policy never touches what was sent (contract D27). Whoever corrected one and wants earlier days judged
by it asks here. What is shown is what the next run would do: the stored records are read and judged anew for real, in a
ledger that is put back afterwards. Neither the EMR nor the biller is asked anything.
"""

from __future__ import annotations

import asyncio
import getpass
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from ptbridge.errors import ConfigError
from ptbridge.jobs.changes import reasons_of, source_changes, who_acts
from ptbridge.jobs.judging import Progress, judge_waiting, verdict_on
from ptbridge.jobs.kit import build_kit, configuration, fingerprint
from ptbridge.jobs.peers import open_destination
from ptbridge.jobs.reading import read_again, read_anew
from ptbridge.jobs.standing import clinic_names
from ptbridge.ledger import DayRow, Ledger, shown_lines
from ptbridge.ledger.asked import EXCLUDED, ON_ITS_WAY, PURGED
from ptbridge.model import Acknowledgement, Disposition, line_changes
from ptbridge.pipeline import Kit
from ptbridge.ports import Outcome
from ptbridge.specs.config import Config

Page = Mapping[str, Any]

LEFT_OUT = {
    PURGED: "cannot be judged anew: its source was purged",
    ON_ITS_WAY: "its answer is not known yet; ask again after the next sync",
    EXCLUDED: "a person excluded it, and it stays excluded",
}
_BILLS = ("queued", "sent", "held")  # held: it would


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which days are asked about: service dates (both included), or days by reference or by the id of a visit."""

    clinic: str | None = None
    since: date | None = None
    until: date | None = None
    names: tuple[str, ...] = ()


def rejudge(
    config: Config,
    scope: Scope,
    *,
    apply: str | None = None,
    reason: str = "",
    actor: str | None = None,
    progress: Progress = lambda what, count: None,
) -> dict[str, Any]:
    """What judging these days anew would change: `days` (before, after, how it goes), `left_out` with the reason, `totals`.

    `name` names just this outcome. With `apply` equal to it the days are marked, and the next run takes them up; with another
    one nothing is marked, and `applied` is False. Raises ConfigError for an unknown id, an empty scope or a missing reason.
    """
    if not scope.names and scope.since is None:
        raise ConfigError("name the days to judge anew: --since DATE, or their ids.")
    if apply is not None and not reason.strip():
        raise ConfigError('judging earlier days anew needs a reason: --reason "why".')
    with Ledger.open(config.state) as ledger:
        _check_names(ledger, scope)
        found = [_Trial(config, ledger, clinic, progress).run(scope) for clinic in clinic_names(config, scope.clinic)]
        rows = [row for trial in found for row in trial.rows()]
        answer = {
            "name": _name(rows),
            "applied": False,
            "judged": sum(len(trial.asked) for trial in found),
            "days": rows,
            "left_out": [one for trial in found for one in trial.left_out],
            "totals": _totals(rows),
        }
        if apply is not None and apply == answer["name"]:
            with ledger.transaction():
                for trial in found:
                    days = [day_id for day_id in trial.outcomes if day_id in trial.asked]
                    ledger.asked.ask(trial.clinic, days, configuration(config), reason.strip(), actor or getpass.getuser())
            answer["applied"] = True
        return answer


def _check_names(ledger: Ledger, scope: Scope) -> None:
    for name in scope.names:
        if not any(scope.clinic in (None, day.clinic) for day in ledger.days.named(name)):
            raise ConfigError(f"{name}: no treatment day of that id. `ptbridge status` and `ptbridge explain` tell of days.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """Where a day stands, and the judgement that says so."""

    row: DayRow
    page: Page

    def outcome(self) -> tuple[object, ...]:
        """What must differ for a day to come out otherwise. `revision` counts what is made to be sent."""
        return self.row.state, self.row.reason, self.row.revision, shown_lines(self.page)


@dataclass(slots=True)
class _Trial:
    """One clinic: its days judged anew in a ledger that is put back."""

    config: Config
    ledger: Ledger
    clinic: str
    progress: Progress
    asked: set[int] = field(default_factory=set)
    left_out: list[dict[str, Any]] = field(default_factory=list)
    outcomes: dict[int, tuple[_Standing, _Standing, list[dict[str, str]]]] = field(default_factory=dict)
    window_minutes: int = 0
    played: set[str] = field(default_factory=set)  # references of days whose correction was played to be taken

    def run(self, scope: Scope) -> _Trial:
        """Fill `outcomes` with the days that would come out otherwise: before, after, what is read otherwise."""
        days = self._in_scope(scope)
        if days:
            asyncio.run(self._judge(days))
        return self

    def _in_scope(self, scope: Scope) -> list[int]:
        if not scope.names:
            return self.ledger.asked.between(self.clinic, scope.since, scope.until)
        named = {day.id: day for name in scope.names for day in self.ledger.days.named(name)}
        return [id_ for id_, day in named.items() if day.clinic == self.clinic and day.version_id is not None]

    async def _judge(self, days: Sequence[int]) -> None:
        spec = self.config.clinics[self.clinic]
        self.window_minutes = spec.changes.hold_window_minutes
        today = datetime.now(self.config.time_zone(spec)).date()
        async with open_destination(self.config, spec, run_id="rejudge") as destination:
            kit = build_kit(self.config, spec, destination, today=today)
            with self.ledger.rehearsal():
                # What the next run does by itself, unasked, is no part of the answer.
                read_again(self.ledger, kit, fingerprint(self.config, today))
                judge_waiting(self.ledger, kit, lambda what, count: None, lambda: False)
                self._judge_anew(days, kit)

    def _judge_anew(self, days: Sequence[int], kit: Kit) -> None:
        """Those that can be, then days that gain a visit, then held days that wait for what an earlier one uses."""
        self.asked = {day_id for day_id in days if self._can_be(day_id)}
        self.progress("reading", len(self.asked))
        with self.ledger.transaction():
            touched = read_anew(self.ledger, kit, [day_id for day_id in days if day_id in self.asked])
            rows = [self._row(day_id) for day_id in touched]
            rows.sort(key=lambda row: (row.id not in self.asked, row.service_date or "", row.id))
            for count, row in enumerate(rows, 1):
                if row.id not in self.asked and not self.played:  # those that were asked about come first: once is enough
                    self._take_the_corrections(kit)
                self._one(row, kit)
                self.progress("judging", count)
            while later := self._follows():
                self._one(later[0], kit)

    def _follows(self) -> list[DayRow]:
        """Days to judge because of what was judged; what comes after a void that was only played is no part of the answer."""
        waiting = self.ledger.days.dirty(self.clinic, limit=len(self.played) + 1)
        return [row for row in waiting if row.reference not in self.played]

    def _take_the_corrections(self, kit: Kit) -> None:
        """A day that gains a visit is judged when the day that it left was corrected: play that the biller took all of them."""
        outbox, now = self.ledger.outbox(self.clinic, kit.clinic.destination.platform), datetime.now(UTC).timestamp()
        asked = {self._row(day_id).reference for day_id in self.asked}
        for item in outbox.due(now=math.inf, limit=-1):
            if item.submission.order_key in asked:
                self.played.add(item.submission.order_key)
                outbox.start((item,), now=now)
                taken = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="rehearsed")
                outbox.finish((Outcome(item=item, acknowledgement=taken),), now=now)

    def _can_be(self, day_id: int) -> bool:
        reason = self.ledger.asked.in_the_way(day_id)
        if reason is None:
            return True
        row = self._row(day_id)
        said = {"id": row.reference, "clinic": self.clinic, "service_date": row.service_date}
        self.left_out.append({**said, "reason": reason, "message": LEFT_OUT[reason]})
        return False

    def _row(self, day_id: int) -> DayRow:
        row = self.ledger.days.get(day_id)
        assert row is not None, "a day of this ledger"
        return row

    def _standing(self, day_id: int) -> _Standing:
        row = self._row(day_id)
        body = self.ledger.days.judgement(row)
        return _Standing(row=row, page=msgspec.json.decode(body) if body else {})

    def _one(self, row: DayRow, kit: Kit) -> None:
        """Judge one day and keep what comes out otherwise; a day that is judged twice is held against its first standing."""
        before = self.outcomes[row.id][0] if row.id in self.outcomes else self._standing(row.id)
        self.ledger.days.record(row, verdict_on(self.ledger, row, kit))
        after = self._standing(row.id)
        if after.outcome() != before.outcome():
            self.outcomes[row.id] = before, after, self._read_otherwise(before, after)
        else:
            self.outcomes.pop(row.id, None)

    def _read_otherwise(self, before: _Standing, after: _Standing) -> list[dict[str, str]]:
        if not before.page:
            return []
        found = source_changes(before.page, after.page, self.ledger.visits.touching(after.row.id))
        return [{"visit_id": one["visit_id"], "what": one["what"]} for one in found]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Each day that would come out otherwise, by service date."""
        for day_id, (before, after, read) in sorted(self.outcomes.items(), key=lambda one: (_date(one[1][1].row), one[0])):
            yield {"asked": day_id in self.asked, **_row(before, after, read, self.window_minutes)}


def _date(row: DayRow) -> str:
    return row.service_date or ""


def _row(before: _Standing, after: _Standing, read: list[dict[str, str]], window_minutes: int) -> dict[str, Any]:
    old, new, day = _shown(before), _shown(after), after.row
    change = after.page.get("change")
    return {
        "id": day.reference,
        "clinic": day.clinic,
        "service_date": day.service_date,
        "discipline": after.page["discipline"],
        "visits": [visit["visit_id"] for visit in after.page["visits"]],
        "before": old,
        "after": new,
        "difference": {
            "lines": [str(line) for line in line_changes(_billed(before), _billed(after))],
            "units": new["units"] - old["units"],
            "amount_cents": new["amount_cents"] - old["amount_cents"],
        },
        "read_otherwise": read,
        "facts": list(_facts(before.page, after.page)),
        "route": change["route"] if change else None,
        "action": after.page["action"],
        "confirm": list(change["confirm"]) if change else [],
        "hold_window_minutes": window_minutes if day.state == "queued" else 0,
        "reasons": reasons_of(day, after.page),
        "who": who_acts(day),
    }


def _billed(standing: _Standing) -> tuple[Any, ...]:
    return shown_lines(standing.page) if standing.row.state in _BILLS else ()


def _shown(standing: _Standing) -> dict[str, Any]:
    bills = standing.row.state in _BILLS
    return {
        "state": standing.row.state,
        "lines": [str(line) for line in _billed(standing)],
        "units": standing.page.get("units", 0) if bills else 0,
        "amount_cents": standing.page.get("amount_cents", 0) if bills else 0,
    }


_FACTS = {"payer": "policy", "payer_as_given": "payer", "discipline": "discipline", "diagnoses": "diagnoses"}


def _facts(before: Page, after: Page) -> Iterator[str]:
    """What else differs: the policy, the payer, the discipline, the diagnoses."""
    for key, word in _FACTS.items():
        old, new = before.get(key), after.get(key)
        if before and old != new:
            yield f"{word} {_said(old)} became {_said(new)}"


def _said(value: object) -> str:
    return (" ".join(map(str, value)) if isinstance(value, list) else str(value or "")) or "none"


def _totals(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Days, units and cents more or less: of what goes by itself, and of what would be held for a person."""
    totals = {name: {"days": 0, "units": 0, "amount_cents": 0} for name in ("goes", "held")}
    for row in rows:
        total = totals["held" if row["after"]["state"] == "held" else "goes"]
        total["days"] += 1
        total["units"] += row["difference"]["units"]
        total["amount_cents"] += row["difference"]["amount_cents"]
    return totals


def _name(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Names one outcome: the same days, the same differences, the same actions. None when nothing would change."""
    return hashlib.sha256(msgspec.json.encode(rows)).hexdigest()[:10] if rows else None
