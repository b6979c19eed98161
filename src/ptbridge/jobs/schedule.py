"""Was something booked that nobody ever saw? The EMR's schedule against the visits that the ledger knows.

FHIR servers are asked for their Appointments; what HL7 v2 senders booked (SIU) stands in the inbox (jobs/bookings.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ptbridge.errors import PeerRefused
from ptbridge.jobs.bookings import Schedule, Unseen, booked_by_message
from ptbridge.jobs.peers import open_source
from ptbridge.ledger import Ledger, patient_key
from ptbridge.plugins import connector
from ptbridge.specs.clinic import ClinicSpec
from ptbridge.specs.config import Config
from ptbridge.wire.fhir import FhirClient
from ptbridge.wire.fhir_join import civil_day

LOOK_BACK_DAYS = 60
# R4 AppointmentStatus of a visit that took place or should have; a booked one counts once its day is over.
TOOK_PLACE = frozenset({"booked", "arrived", "checked-in", "fulfilled"})


async def past_schedule(
    config: Config, ledger: Ledger, spec: ClinicSpec, today: date, dates: tuple[str, str]
) -> Schedule | None:
    """The appointments of past days in that range, at most 60 days back, against the visits here. None: cannot be asked.

    Raises PeerError when the EMR is away, LedgerError when the inbox cannot be trusted.
    """
    standard = connector(spec.source.connector).INFO.standard
    if standard != "HL7 v2" and not (spec.source.base_url and standard.startswith("FHIR")):
        return None
    first = max(dates[0], spec.first_service_date or "", (today - timedelta(days=LOOK_BACK_DAYS)).isoformat())
    last = min(dates[1], (today - timedelta(days=1)).isoformat())
    if first > last:
        return Schedule()
    async with open_source(config, spec, rehearsal=True) as client:
        if standard == "HL7 v2":
            return booked_by_message(config, ledger, spec, client, (first, last))
        return await _fhir(client.fhir, ledger, spec, config.time_zone(spec), (first, last))


async def _fhir(fhir: FhirClient, ledger: Ledger, spec: ClinicSpec, zone: ZoneInfo, days: tuple[str, str]) -> Schedule | None:
    try:
        booked = [one async for one in _booked(fhir, *days, zone)]
    except PeerRefused:  # no Appointment, or none for our credential: then the schedule is not known
        return None
    return Schedule(unseen=tuple([one async for one in _unseen(fhir, ledger, spec, booked)]))


@dataclass(frozen=True, slots=True)
class _Booked:
    id: str
    patient: str
    day: str
    status: str


async def _booked(fhir: FhirClient, first: str, last: str, zone: ZoneInfo) -> AsyncIterator[_Booked]:
    """What the EMR has booked on those civil days. A day more is asked for on either side: the server has a zone of its own."""
    asked = (date.fromisoformat(first) - timedelta(days=1), date.fromisoformat(last) + timedelta(days=1))
    params = [("date", f"ge{asked[0].isoformat()}"), ("date", f"le{asked[1].isoformat()}")]
    async for page in fhir.search("Appointment", params):
        for entry in page.entries:
            resource = entry.resource
            day = civil_day(resource.get("start"), zone)
            patient = next(_patients(resource), None)
            if day is None or patient is None or resource.get("status") not in TOOK_PLACE:
                continue
            if first <= day.isoformat() <= last:
                yield _Booked(str(resource.get("id")), patient, day.isoformat(), str(resource["status"]))


def _patients(resource: dict[str, Any]) -> Iterator[str]:
    for participant in resource.get("participant") or ():
        actor = participant.get("actor") if isinstance(participant, dict) else None
        reference = actor.get("reference") if isinstance(actor, dict) else None
        if isinstance(reference, str) and "Patient/" in reference:
            yield reference.rpartition("Patient/")[2].partition("/")[0]


async def _unseen(fhir: FhirClient, ledger: Ledger, spec: ClinicSpec, booked: list[_Booked]) -> AsyncIterator[Unseen]:
    """Those of a patient and day with fewer visits than bookings, whose own Encounter, if there is one, is not known here."""
    by_day: defaultdict[tuple[str, str], list[_Booked]] = defaultdict(list)
    for one in booked:
        by_day[one.patient, one.day].append(one)
    for (patient, day), several in by_day.items():
        known = ledger.columns.visits_on(patient_key(spec.clinic, patient), spec.clinic, day)
        if known >= len(several):
            continue
        missing = []
        for one in several:
            encounter = await _encounter_of(fhir, one.id)
            if encounter is None or not ledger.visits.find(spec.clinic, spec.source.connector, encounter):
                missing.append(_without_visit(one, encounter))
        for unseen in missing[: len(several) - known]:
            yield unseen


def _without_visit(one: _Booked, encounter: str | None) -> Unseen:
    if encounter is None:
        reason = f"an appointment ({one.status}) whose day is over, and the EMR has no visit of it"
        owner, do = "clinic", "Document the visit, or mark the appointment as missed or cancelled."
    else:
        reason = f"an appointment ({one.status}) whose Encounter {encounter} was never pulled"
        owner, do = "integrator", "Run ptbridge sync with --since that day; then check the connector's scope."
    return Unseen(names=(one.id,), service_date=one.day, code="no-visit", reason=reason, owner=owner, do=do)


async def _encounter_of(fhir: FhirClient, appointment: str) -> str | None:
    """The Encounter that the EMR made of an appointment; None when it has none, or cannot be asked that way."""
    try:
        async for page in fhir.search("Encounter", [("appointment", f"Appointment/{appointment}")]):
            for entry in page.entries:
                return str(entry.resource.get("id"))
    except PeerRefused:
        return None
    return None
