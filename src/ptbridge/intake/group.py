"""Visits -> treatment days: the unit over which CMS counts minutes (Pub. 100-04, ch. 5, section 20.2)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from ptbridge.model import TreatmentDay, Visit

_FIRST = datetime.min.replace(tzinfo=UTC)


def day_key(visit: Visit, billing_npi: str) -> str:
    """The stable identity of the treatment day that a visit belongs to.

    Patient, discipline, service date and billing NPI. A visit that lacks one of them is a day of its own (`visit:<id>`):
    pooling it with others could only be a guess.
    """
    if visit.service_date is None or visit.discipline is None or not visit.patient.id:
        return f"visit:{visit.visit_id}"
    return f"{visit.service_date.isoformat()}|{visit.discipline}|{billing_npi}|{visit.patient.id}"


def group(visits: Iterable[Visit], *, clinic: str, billing_npi: str) -> list[TreatmentDay]:
    """The treatment days of some visits, in the order of their first visits; each with its visits by start and id."""
    days: dict[str, list[Visit]] = {}
    for visit in visits:
        days.setdefault(day_key(visit, billing_npi), []).append(visit)
    return [_day(key, members, clinic, billing_npi) for key, members in days.items()]


def _day(key: str, visits: list[Visit], clinic: str, billing_npi: str) -> TreatmentDay:
    if len(visits) > 1:
        visits = sorted(visits, key=lambda visit: (visit.started_at or _FIRST, visit.visit_id))
    first = visits[0]
    return TreatmentDay(
        clinic=clinic,
        key=key,
        patient_id=first.patient.id,
        discipline=first.discipline,
        service_date=first.service_date,
        billing_npi=billing_npi,
        visits=tuple(visits),
    )
