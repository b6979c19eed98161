"""What the ledger knows about a patient beyond one treatment day: one indexed read before a judgement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import apsw
import msgspec

from ptbridge.ledger.authorizations import Authorizations, Opening, Use, spread
from ptbridge.ledger.database import unpack
from ptbridge.ledger.day_rows import BilledLine
from ptbridge.model import Patient
from ptbridge.policy.codes import CodeTable
from ptbridge.policy.history import Authorization, OtherLine, PatientHistory
from ptbridge.policy.thresholds import kx_group

LOOK_BACK_DAYS = 731  # two years: no authorization, plan of care or reporting period that still counts is older
_PROGRESS = frozenset({"progress", "re-evaluation", "evaluation"})


class _OnlyPatient(msgspec.Struct):
    """The part of a stored visit that says whose it is."""

    patient: Patient


_decode = msgspec.json.Decoder(_OnlyPatient).decode

_DAYS = """
SELECT d.id, d.service_date, d.discipline, d.state, d.payer, d.reference, d.visit_types, d.authorization_number,
       (SELECT group_concat(b.procedure, ' ') FROM billed_line b WHERE b.day_id = d.id),
       (SELECT sum(b.allowed_cents) FROM billed_line b WHERE b.day_id = d.id)
FROM treatment_day d
WHERE d.clinic = ?1 AND d.patient_key = ?2 AND d.service_date >= ?3 AND d.state IN ('held', 'queued', 'sent') AND d.id <> ?4
ORDER BY d.service_date, d.id
"""
_LINES = (
    "SELECT procedure, modifiers, units, amount_cents, allowed_cents, started_at, ended_at FROM billed_line WHERE day_id = ?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """The treatment day that a history is asked for. `pools` are the payer's visit limits: name -> disciplines."""

    clinic: str
    patient_key: str = field(repr=False)
    discipline: str | None
    on: date
    day_id: int = 0  # 0: a day that the ledger does not have
    live: bool = False  # the biller has it already
    payer: str | None = None
    pools: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OtherDay:
    """Another treatment day of the patient that bills or would bill: `state` is held, queued or sent."""

    id: int
    on: date
    discipline: str | None
    state: str
    payer: str | None
    reference: str
    visit_types: frozenset[str]
    authorization_number: str | None
    procedures: tuple[str, ...]
    allowed_cents: int  # the sum of its lines


class Patients:
    """Reads `treatment_day`, `billed_line`, `authorization` and `threshold_opening` of one patient."""

    def __init__(self, connection: apsw.Connection, authorizations: Authorizations) -> None:
        self._connection = connection
        self._authorizations = authorizations

    def history(self, whose: Whose, codes: CodeTable) -> PatientHistory:
        """The patient before this treatment day.

        A day that the biller has already (`whose.live`) counts what stands before it by service date, so that a correction
        comes to the same answer. One that it does not have comes after everything sent or queued, whatever its date,
        because payers count in the order in which they receive.
        """
        clinic, key, on = whose.clinic, whose.patient_key, whose.on
        others = self.days(clinic, key, on - timedelta(days=LOOK_BACK_DAYS), but=whose.day_id)
        counted = [other for other in others if _before(other, whose) or (not whose.live and other.state != "held")]
        earlier = [other for other in others if other.on < on and other.discipline == whose.discipline]
        group = kx_group(whose.discipline)
        opening = self._authorizations.opening(clinic, key, group, on.year) if group else None
        known = self._authorizations.of(clinic, key)
        return PatientHistory(
            treatment_days=tuple(sorted({other.on for other in earlier})),
            progress_reports=tuple(sorted({other.on for other in earlier if _is_progress(other, codes)})),
            evaluations=tuple((other.on, code) for other in earlier for code in other.procedures if _evaluates(code, codes)),
            accrued_cents=_beyond(opening, list(_allowed(counted, on.year, group))),
            opening_cents=opening.amount_cents if opening else None,
            authorizations=tuple(spread(known, self.uses(known, counted))) if known else (),
            visits_in_plan_year=_visits_by_pool(counted, whose),
            other_lines=tuple(self._lines_of_the_same_date(others, on)),
        )

    def uses(self, authorizations: Sequence[Authorization], days: Iterable[OtherDay]) -> list[Use]:
        """The days as authorizations see them; their lines are read only where units or cents count."""
        measured = any(one.counts in ("units", "cents") for one in authorizations)
        return [self._use(day, measured) for day in days]

    def _use(self, day: OtherDay, measured: bool) -> Use:
        if measured:
            lines = tuple((line.procedure, line.units, line.amount_cents or 0) for line in self.lines(day))
        else:
            lines = tuple((code, 0, 0) for code in day.procedures)
        return Use(
            on=day.on,
            discipline=day.discipline,
            payer=day.payer,
            sent=day.state == "sent",
            number=day.authorization_number,
            lines=lines,
        )

    def lines(self, day: OtherDay) -> list[BilledLine]:
        """What the day bills or would bill."""
        return [_line(row) for row in self._connection.execute(f"{_LINES} ORDER BY place", (day.id,))]

    def _lines_of_the_same_date(self, days: Iterable[OtherDay], on: date) -> Iterator[OtherLine]:
        for day in days:
            if day.on == on:
                for line in self.lines(day):
                    yield OtherLine(
                        procedure=line.procedure,
                        modifiers=line.modifiers,
                        units=line.units,
                        discipline=day.discipline,
                        reference=day.reference,
                        payer=day.payer,
                        start=datetime.fromisoformat(line.start) if line.start else None,
                        end=datetime.fromisoformat(line.end) if line.end else None,
                    )

    def days(self, clinic: str, key: str, since: date, *, but: int = 0) -> list[OtherDay]:
        """The patient's days that bill or would bill, from a service date on, ascending; never the one with row id `but`."""
        rows = self._connection.execute(_DAYS, (clinic, key, since.isoformat(), but))
        return [_day(row) for row in rows]

    def ids(self, clinic: str) -> dict[str, tuple[str, str | None]]:
        """Patient key -> the source's patient id and record number, from one visit of each patient."""
        rows = self._connection.execute(
            "SELECT d.patient_key, w.body FROM treatment_day d JOIN visit v ON v.day_id = d.id"
            " JOIN visit_version w ON w.id = v.version_id WHERE d.clinic = ? AND d.patient_key IS NOT NULL"
            " GROUP BY d.patient_key",
            (clinic,),
        )
        found: dict[str, tuple[str, str | None]] = {}
        for key, body in rows:
            patient = _decode(unpack(body)).patient
            found[str(key)] = patient.id, patient.mrn
        return found


def _day(row: tuple[apsw.SQLiteValue, ...]) -> OtherDay:
    id_, on, discipline, state, payer, reference, types, authorization, procedures, allowed = row
    return OtherDay(
        id=int(str(id_)),
        on=date.fromisoformat(str(on)),
        discipline=_text(discipline),
        state=str(state),
        payer=_text(payer),
        reference=str(reference),
        visit_types=frozenset(str(types).split(",")),
        authorization_number=_text(authorization),
        procedures=tuple(str(procedures).split()) if procedures else (),
        allowed_cents=_cents(allowed) or 0,
    )


def _line(row: tuple[apsw.SQLiteValue, ...]) -> BilledLine:
    procedure, modifiers, units, amount, allowed, start, end = row
    return BilledLine(
        procedure=str(procedure),
        modifiers=tuple(str(modifiers).split()),
        units=int(str(units)),
        amount_cents=_cents(amount),
        allowed_cents=_cents(allowed),
        start=_text(start),
        end=_text(end),
    )


def _text(value: apsw.SQLiteValue) -> str | None:
    return None if value is None else str(value)


def _cents(value: apsw.SQLiteValue) -> int | None:
    return value if isinstance(value, int) else None


def _before(other: OtherDay, whose: Whose) -> bool:
    return (other.on, other.id) < (whose.on, whose.day_id)


def _evaluates(code: str, codes: CodeTable) -> bool:
    row = codes.get(code)
    return row is not None and row.evaluation


def _is_progress(other: OtherDay, codes: CodeTable) -> bool:
    """An evaluation or re-evaluation reports progress too, whether the visit's type or its code says so."""
    return not _PROGRESS.isdisjoint(other.visit_types) or any(_evaluates(code, codes) for code in other.procedures)


def _allowed(days: Iterable[OtherDay], year: int, group: str | None) -> Iterator[tuple[date, int]]:
    """Allowed cents of what was sent or queued in the calendar year; what is held may never be billed."""
    for day in days:
        if day.state != "held" and day.on.year == year and kx_group(day.discipline) == group:
            yield day.on, day.allowed_cents


def _beyond(opening: Opening | None, allowed: list[tuple[date, int]]) -> int:
    """What to count beside the opening amount, so that both together stay an "at least".

    The answer already holds our own claims that Medicare had by then; so at least the days after it come on top, or all
    of our own days where they alone are more.
    """
    everything = sum(cents for _, cents in allowed)
    if opening is None:
        return everything
    return max(everything - opening.amount_cents, sum(cents for on, cents in allowed if on > opening.as_of))


def _visits_by_pool(days: Iterable[OtherDay], whose: Whose) -> dict[str, int]:
    """Treatment days of the calendar year that the same payer's limits count: one discipline on one date is one visit."""
    visits = Counter(day.discipline for day in days if day.on.year == whose.on.year and day.payer == whose.payer)
    return {pool: sum(visits[discipline] for discipline in members) for pool, members in whose.pools.items()}
