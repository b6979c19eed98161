"""Authorizations and opening amounts: what a payer allowed, and how much of it the treatment days have used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import apsw

from ptbridge.policy.history import Authorization

COUNTS = ("visits", "units", "days", "cents")
_COLUMNS = "patient_key, number, payer, discipline, counts, allowed, codes, valid_from, valid_to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One treatment day as an authorization sees it. `lines` are (procedure, units, cents); `sent`: the biller has it."""

    on: date
    discipline: str | None
    payer: str | None
    sent: bool
    number: str | None = field(repr=False)
    lines: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Medicare therapy dollars used at every clinic, this one included, as an eligibility answer (271) of `as_of` says."""

    patient_key: str = field(repr=False)
    year: int
    group: str  # PT_SLP or OT
    amount_cents: int
    as_of: date
    source: str = ""


class Authorizations:
    """The `authorization` and `threshold_opening` tables. Write inside a transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def put(self, clinic: str, patient_key: str, one: Authorization, source: str) -> None:
        """Keep an authorization; one of the same number, discipline and codes is replaced (a payer extends them)."""
        self._connection.execute(
            f"INSERT INTO authorization (clinic, {_COLUMNS}, source) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
            " ON CONFLICT (clinic, patient_key, number, discipline, codes) DO UPDATE SET payer = excluded.payer,"
            " counts = excluded.counts, allowed = excluded.allowed, valid_from = excluded.valid_from,"
            " valid_to = excluded.valid_to, source = excluded.source",
            (
                clinic,
                patient_key,
                one.number,
                one.payer or "",
                one.discipline or "",
                one.counts,
                one.allowed,
                " ".join(sorted(one.codes)),
                one.valid_from.isoformat() if one.valid_from else None,
                one.valid_to.isoformat() if one.valid_to else None,
                source,
            ),
        )
        self._judge_again(clinic, patient_key)

    def put_opening(self, clinic: str, one: Opening) -> None:
        """Keep an opening amount; the newest answer of a year and group stands."""
        self._connection.execute(
            "INSERT INTO threshold_opening VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (clinic, patient_key, year, kx_group)"
            " DO UPDATE SET amount_cents = excluded.amount_cents, as_of = excluded.as_of, source = excluded.source",
            (
                clinic,
                one.patient_key,
                one.year,
                one.group,
                one.amount_cents,
                one.as_of.isoformat(),
                one.source,
            ),
        )
        self._judge_again(clinic, one.patient_key)

    def _judge_again(self, clinic: str, patient_key: str) -> None:
        """What is held may have waited for exactly this; what was sent is not touched."""
        self._connection.execute(
            "UPDATE treatment_day SET dirty = 1 WHERE clinic = ? AND patient_key = ? AND state = 'held'", (clinic, patient_key)
        )

    def opening(self, clinic: str, patient_key: str, group: str, year: int) -> Opening | None:
        """What an eligibility answer said for the calendar year, None when none was imported."""
        row = self._connection.execute(
            "SELECT amount_cents, as_of, source FROM threshold_opening"
            " WHERE clinic = ? AND patient_key = ? AND year = ? AND kx_group = ?",
            (clinic, patient_key, year, group),
        ).fetchone()
        if row is None:
            return None
        return Opening(
            patient_key=patient_key,
            year=year,
            group=group,
            amount_cents=int(str(row[0])),
            as_of=date.fromisoformat(str(row[1])),
            source=str(row[2]),
        )

    def of(self, clinic: str, patient_key: str) -> list[Authorization]:
        """A patient's authorizations without their use, oldest first."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM authorization WHERE clinic = ? AND patient_key = ?"  # noqa: S608
            " ORDER BY coalesce(valid_from, ''), id",
            (clinic, patient_key),
        )
        return [_authorization(row[1:]) for row in rows]

    def all(self, clinic: str) -> Iterator[tuple[str, Authorization]]:
        """Every (patient key, authorization) of a clinic, without their use."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM authorization WHERE clinic = ? ORDER BY patient_key, coalesce(valid_from, ''), id",  # noqa: S608
            (clinic,),
        )
        for row in rows:
            yield str(row[0]), _authorization(row[1:])


def spread(authorizations: Sequence[Authorization], days: Iterable[Use]) -> list[Authorization]:
    """Count each day to the authorization that it names, else to the first that covers it and is not used up.

    A visit is a treatment day (one discipline, one date); `days` are dates; units and cents are those of the covered codes.
    """
    taken = shares(authorizations, days)
    return [
        replace(
            one,
            used=sum(amount for day, amount in parts if day.sent),
            in_flight=sum(amount for day, amount in parts if not day.sent),
        )
        for one, parts in zip(authorizations, taken, strict=True)
    ]


def shares(authorizations: Sequence[Authorization], days: Iterable[Use]) -> list[list[tuple[Use, int]]]:
    """For each authorization, the days that count to it and how much each takes."""
    taken: list[list[tuple[Use, int]]] = [[] for _ in authorizations]
    for day in days:
        at = _chosen(authorizations, taken, day)
        if at is None:
            continue
        one = authorizations[at]
        if one.counts != "days" or all(day.on != other.on for other, _ in taken[at]):
            taken[at].append((day, _amount(one, day)))
    return taken


def _chosen(authorizations: Sequence[Authorization], taken: list[list[tuple[Use, int]]], day: Use) -> int | None:
    fitting = [at for at, one in enumerate(authorizations) if _names(one, day) and _covers(one, day)]
    open_ones = [at for at in fitting if sum(amount for _, amount in taken[at]) < authorizations[at].allowed]
    return next(iter(open_ones or fitting), None)


def _names(one: Authorization, day: Use) -> bool:
    return day.number is None or day.number == one.number


def _covers(one: Authorization, day: Use) -> bool:
    """A day that names its number belongs to it whatever its date or payer; the edits say what is wrong with that."""
    if one.discipline and day.discipline != one.discipline:
        return False
    if one.codes and day.lines and not any(code in one.codes for code, _, _ in day.lines):
        return False
    if day.number is not None:
        return True
    in_time = (one.valid_from is None or one.valid_from <= day.on) and (one.valid_to is None or day.on <= one.valid_to)
    return in_time and (one.payer is None or one.payer == day.payer)


def _amount(one: Authorization, day: Use) -> int:
    covered = [(units, cents) for code, units, cents in day.lines if not one.codes or code in one.codes]
    if one.counts == "units":
        return sum(units for units, _ in covered)
    if one.counts == "cents":
        return sum(cents for _, cents in covered)
    return 1


def _authorization(row: tuple[apsw.SQLiteValue, ...]) -> Authorization:
    number, payer, discipline, counts, allowed, codes, valid_from, valid_to = row
    return Authorization(
        number=str(number),
        payer=str(payer) or None,
        discipline=str(discipline) or None,
        counts=str(counts),
        allowed=int(str(allowed)),
        codes=frozenset(str(codes).split()),
        valid_from=date.fromisoformat(str(valid_from)) if valid_from else None,
        valid_to=date.fromisoformat(str(valid_to)) if valid_to else None,
    )
