"""The accounting line by line: every documented line once, with what became of it. Streams; one treatment day in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import apsw
import msgspec

from ptbridge.ledger.database import unpack

# What every row says of its visit. `version` is our name of its content, `source_version` what the source calls it.
_OF_VISIT = ("clinic", "source", "visit_id", "line_key", "version", "source_version", "first_seen_at", "purged_at")
_VISITS = """
SELECT v.clinic, v.source, v.visit_id, NULL, lower(substr(hex(v.content_sha256), 1, 16)), nullif(r.version, ''),
       v.first_seen_at, w.purged_at, v.state, v.reason, v.excluded_rule, v.day_id, w.body
FROM visit v JOIN source_record r ON r.id = v.record_id LEFT JOIN visit_version w ON w.id = v.version_id
WHERE ?1 IS NULL OR v.clinic = ?1 ORDER BY v.day_id, v.id
"""
_DAY = """
SELECT d.reference, d.state, d.reason, d.held_since, d.service_date, d.live_id, w.body FROM treatment_day d
LEFT JOIN day_version w ON w.id = d.version_id WHERE d.id = ?
"""
_SUBMISSION = """
SELECT key, state, attempts, destination, destination_id FROM submission WHERE day_id = ? ORDER BY id DESC LIMIT 1
"""


class _Line(msgspec.Struct):
    line_key: str
    documented: str = ""
    minutes: int | None = None
    not_done: bool = False


class _Name(msgspec.Struct):
    id: str
    mrn: str | None = None
    family: str | None = None
    given: str | None = None
    birth_date: date | None = None


class _Visit(msgspec.Struct):
    """What an export reads of a stored visit."""

    patient: _Name
    interventions: tuple[_Line, ...] = ()


class _Charge(msgspec.Struct):
    line: str
    units: int
    amount_cents: int | None = None
    line_keys: tuple[str, ...] = ()


class _Exclusion(msgspec.Struct):
    line_key: str
    rule: str


class _Judgement(msgspec.Struct):
    """What an export reads of a stored judgement."""

    lines: tuple[_Charge, ...] = ()
    exclusions: tuple[_Exclusion, ...] = ()


_visit = msgspec.json.Decoder(_Visit).decode
_judgement = msgspec.json.Decoder(_Judgement).decode


@dataclass(frozen=True, slots=True)
class _Day:
    """A treatment day as its lines see it. Each charge stands under its first documented line; the others name that one.

    One documented line may make two charges: the therapist's part of it and the assistant's.
    """

    row: dict[str, Any]
    submission: dict[str, Any]
    charges: dict[str, list[_Charge]]
    billed_with: dict[str, str]
    excluded: dict[str, str]


class Export:
    """The rows of one ledger; `phi` adds what identifies patients."""

    def __init__(self, connection: apsw.Connection, *, phi: bool) -> None:
        self._connection = connection
        self._phi = phi
        self._day_id: object = None
        self._day: _Day | None = None

    def rows(self, clinic: str | None) -> Iterator[dict[str, Any]]:
        """One dict for each documented line, by treatment day; a record that cannot be read is one row without a line."""
        for *facts, state, reason, rule, day_id, body in self._connection.execute(_VISITS, (clinic,)):
            visit = _visit(unpack(body)) if body is not None else None
            row = dict(zip(_OF_VISIT, facts, strict=True))
            if state == "quarantined" or visit is None:
                yield {**row, **_row(state=str(state), reason=reason)}
                continue
            day = self._of(day_id)
            for line in visit.interventions:
                place = f"{row['visit_id']}/{line.line_key}"
                known = _phi(visit, line, place, day) if self._phi else {}
                standing = _gone(reason) if state == "gone" else _standing(place, line, rule, day)
                yield {**row, "line_key": line.line_key, **standing, **known}

    def _of(self, day_id: object) -> _Day | None:
        if day_id is None or day_id == self._day_id:
            return self._day if day_id is not None else None
        found = self._connection.execute(_DAY, (day_id,)).fetchone()
        assert found is not None
        *facts, body = found
        names = ("reference", "state", "reason", "held_since", "service_date", "live_id")
        judged = _judgement(unpack(body)) if body is not None else _Judgement()
        charges: dict[str, list[_Charge]] = {}
        for charge in judged.lines:
            if charge.line_keys:
                charges.setdefault(charge.line_keys[0], []).append(charge)
        last = self._connection.execute(_SUBMISSION, (day_id,)).fetchone()
        columns = ("key", "state", "attempts", "destination", "billing_id")
        self._day_id = day_id
        self._day = _Day(
            row=dict(zip(names, facts, strict=True)),
            submission=dict(zip(columns, last, strict=True)) if last else {},
            charges=charges,
            billed_with={
                key: charge.line_keys[0] for charge in judged.lines for key in charge.line_keys[1:] if key not in charges
            },
            excluded={exclusion.line_key: exclusion.rule for exclusion in judged.exclusions},
        )
        return self._day


def _phi(visit: _Visit, line: _Line, place: str, day: _Day | None) -> dict[str, Any]:
    """What identifies the patient, only where it was asked for."""
    charges = day.charges.get(place, []) if day else []
    return {
        "service_date": day.row["service_date"] if day else None,
        "patient_id": visit.patient.id,
        "mrn": visit.patient.mrn,
        "family": visit.patient.family,
        "given": visit.patient.given,
        "birth_date": visit.patient.birth_date.isoformat() if visit.patient.birth_date else None,
        "documented": line.documented,
        "minutes": line.minutes,
        "charges": [charge.line for charge in charges],
    }


def _gone(reason: object) -> dict[str, Any]:
    return _row(state="excluded", reason=reason)


def _row(**known: Any) -> dict[str, Any]:
    """What every row has, in this order; what is not known is null."""
    names = ("state", "reason", "held_since", "reference", "destination", "key", "attempts", "billing_id")
    return dict.fromkeys((*names, "units", "amount_cents", "billed_with")) | known


def _standing(name: str, line: _Line, visit_rule: object, day: _Day | None) -> dict[str, Any]:
    """The state of one documented line, and what was or would be billed for it. `units` stand once for each charge."""
    if day is None:
        return _row(state="open" if visit_rule is None else "excluded", reason=visit_rule)
    if visit_rule is not None or line.not_done or name in day.excluded:
        rule = visit_rule or day.excluded.get(name, "not-done")
        return _row(state="excluded", reason=rule, reference=day.row["reference"])
    charges, sent, state = day.charges.get(name), day.submission, day.row["state"]
    nothing = 0 if state == "sent" or name in day.billed_with else None  # a held line may not be countable at all
    return _row(
        state=sent.get("state", state) if state == "queued" else state,
        reason=day.row["reason"],
        held_since=day.row["held_since"],
        reference=day.row["reference"],
        destination=sent.get("destination"),
        key=sent.get("key"),
        attempts=sent.get("attempts", 0),
        billing_id=sent.get("billing_id") or day.row["live_id"],
        units=sum(charge.units for charge in charges) if charges else nothing,
        amount_cents=_total(charges) if charges else nothing,
        billed_with=day.billed_with.get(name),
    )


def _total(charges: list[_Charge]) -> int | None:
    """The charges' cents; None when one of them has no price."""
    amounts = [charge.amount_cents for charge in charges]
    return None if None in amounts else sum(amount for amount in amounts if amount is not None)
