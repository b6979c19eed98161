"""Authorizations as a person asks for them: who runs out, and when, at today's frequency of visits; and how they come in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import Any

from ptbridge.errors import ConfigError
from ptbridge.jobs.authorization_fhir import PayerOf
from ptbridge.jobs.authorization_files import Imported, read_file
from ptbridge.jobs.kit import policies_of
from ptbridge.jobs.standing import clinic_names
from ptbridge.ledger import Ledger, Use, patient_key, shares
from ptbridge.policy.history import Authorization
from ptbridge.specs.clinic import ClinicSpec
from ptbridge.specs.config import Config

WEEKS = 4  # the frequency is that of the last four weeks
_LOOK_BACK_DAYS = 731


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One authorization today. `per_week` is in what it counts; `runs_out` is the first day that lacks, None when none is seen.

    `number` shows its last four characters; `patient` is the source's id, and only when it was asked for.
    """

    clinic: str
    number: str
    payer: str | None
    discipline: str | None
    counts: str
    allowed: int
    used: int
    in_flight: int
    left: int
    valid_to: date | None
    per_week: float
    runs_out: date | None
    why: str
    patient: str | None = None


def list_authorizations(config: Config, clinic: str | None = None, show_patients: bool = False) -> list[Standing]:
    """Every authorization that is not over, the first to run out first."""
    found: list[Standing] = []
    with Ledger.open(config.state, write=False) as ledger:
        for name in clinic_names(config, clinic):
            today = datetime.now(config.time_zone(config.clinics[name])).date()
            found += _of_clinic(ledger, name, today, show_patients)
    return sorted(found, key=lambda one: (one.runs_out or date.max, one.clinic, one.number))


def _of_clinic(ledger: Ledger, clinic: str, today: date, show_patients: bool) -> list[Standing]:
    names = ledger.patients.ids(clinic) if show_patients else {}
    found: list[Standing] = []
    for key, rows in groupby(ledger.authorizations.all(clinic), key=lambda row: row[0]):
        theirs = [one for _, one in rows]
        days = ledger.patients.days(clinic, key, today - timedelta(days=_LOOK_BACK_DAYS))
        parts = shares(theirs, ledger.patients.uses(theirs, days))
        for one, taken in zip(theirs, parts, strict=True):
            if one.valid_to is None or one.valid_to >= today:
                patient = names[key][0] if key in names else None
                found.append(standing(clinic, one, taken, today, patient))
    return found


def standing(
    clinic: str, one: Authorization, taken: list[tuple[Use, int]], today: date, patient: str | None = None
) -> Standing:
    """How far the authorization goes from today: at the frequency of the last weeks, and never past its last day."""
    used = sum(amount for use, amount in taken if use.sent)
    in_flight = sum(amount for use, amount in taken if not use.sent)
    left = one.allowed - used - in_flight
    recent = sum(amount for use, amount in taken if today - timedelta(weeks=WEEKS) < use.on <= today)
    per_week = recent / WEEKS
    runs_out, why = _end(left, per_week, one.valid_to, today)
    return Standing(
        clinic=clinic,
        number=masked(one.number),
        payer=one.payer,
        discipline=one.discipline,
        counts=one.counts,
        allowed=one.allowed,
        used=used,
        in_flight=in_flight,
        left=left,
        valid_to=one.valid_to,
        per_week=per_week,
        runs_out=runs_out,
        why=why,
        patient=patient,
    )


def _end(left: int, per_week: float, valid_to: date | None, today: date) -> tuple[date | None, str]:
    if left <= 0:
        return today, "used up"
    last = valid_to + timedelta(days=1) if valid_to else None
    used_up = today + timedelta(days=ceil(7 * left / per_week)) if per_week else None
    if used_up and (last is None or used_up <= last):
        return used_up, "used up at this frequency"
    return last, "its last day" if last else "no visits in four weeks"


def masked(number: str) -> str:
    """The last four characters of a number, never more than half of it."""
    shown = min(4, len(number) // 2)
    return f"…{number[len(number) - shown :]}"


def import_authorizations(config: Config, path: Path, clinic: str | None = None) -> dict[str, Any]:
    """Read a CSV or FHIR file (see `authorization_files`) into the ledger, all or nothing; held days are judged again.

    Raises ConfigError with file:line, or when it cannot be told which clinic the file is for.
    """
    names = clinic_names(config, clinic)
    if len(names) != 1:
        raise ConfigError(f"there are {len(names)} clinics; say which one with --clinic: {', '.join(names)}")
    name = names[0]
    with Ledger.open(config.state) as ledger:
        imported = read_file(path, _KeyOf(ledger, name), frozenset(policies_of(config)), _payer_of(config.clinics[name]))
        _store(ledger, name, imported)
    return {
        "clinic": name,
        "authorizations": len(imported.authorizations),
        "kx_openings": len(imported.openings),
        "left_out": imported.left_out,
    }


def _payer_of(spec: ClinicSpec) -> PayerOf:
    """Which policy the clinic's routes give to a payer's id, or to its name."""
    by_id = {one: route.policy for route in spec.payers for one in route.ids}
    by_name = {one: route.policy for route in spec.payers for one in route.names}
    return lambda payer_id, name: by_id.get(payer_id or "") or by_name.get(name or "")


class _KeyOf:
    """Patient key by id or record number; the numbers are read from the ledger when the first one is asked for."""

    def __init__(self, ledger: Ledger, clinic: str) -> None:
        self._ledger, self._clinic = ledger, clinic
        self._by_mrn: dict[str, str] | None = None

    def __call__(self, patient: str, mrn: str) -> str | None:
        if patient:
            return patient_key(self._clinic, patient)
        if self._by_mrn is None:
            ids = self._ledger.patients.ids(self._clinic)
            self._by_mrn = {number: key for key, (_, number) in ids.items() if number}
        return self._by_mrn.get(mrn)


def _store(ledger: Ledger, clinic: str, imported: Imported) -> None:
    with ledger.transaction():
        for key, one, source in imported.authorizations:
            ledger.authorizations.put(clinic, key, one, source)
        for opening in imported.openings:
            ledger.authorizations.put_opening(clinic, opening)
