"""What a FHIR server can and cannot do for a clinic, in plain words, from its own /metadata."""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.wire.fhir_plan import CARE_PLAN, Child, Plan, Server, Settings
from ptbridge.wire.source_client import SourceClient

PLURALS = {"Procedure": "procedures", "ChargeItem": "charge items", "Condition": "diagnoses", "DocumentReference": "notes"}


async def describe(client: SourceClient, plan: Plan | None = None) -> list[str]:
    """Plain sentences for a person: what works, what does not, which way is taken instead, what it costs.

    Raises ConfigError for options that cannot be, PeerError when /metadata cannot be read.
    """
    plan = plan or Plan()
    settings = Settings.read(client, plan)
    server = await Server.read(client, settings)
    children = [*_children(server, settings, plan), *_papers(server, settings)]
    return [*_server(server), *_discovery(server, settings), *children, *_rest(server), *plan.notes]


def _server(server: Server) -> Iterator[str]:
    if server.software:
        yield f"The server calls itself {server.software}."
    if not server.declared:
        yield "/metadata lists no search parameters: the US Core floor is taken; put what it can do beyond that in can_search."


def _discovery(server: Server, settings: Settings) -> Iterator[str]:
    days, hours = settings.lookback.days, int(settings.rescan_every.total_seconds() // 3600)
    minutes = int(settings.overlap.total_seconds() // 60)
    by = {"encounters": "an Encounter search", "patients": "a list of patients", "appointments": "a list of appointments"}
    yield f"Visits are found by {by[settings.discovery]}."
    if settings.discovery == "appointments":
        way = "appointment" if server.can("Encounter", "appointment") else "patient and day"
        yield f"Each appointment's Encounter is searched by {way}."
        if not server.can("Appointment", "date"):
            yield "/metadata does not say that Appointment can be searched by date; if it cannot, the search will be refused."
    elif server.can("Encounter", "_lastUpdated"):
        yield f"Encounter can be searched by last update: each run asks for what changed, reaching back {minutes} minutes more."
    else:
        yield f"Encounter cannot be searched by last update: each run reads the last {settings.recent.days} days again."
    if not server.can("Encounter", "date"):
        yield "Encounter cannot be searched by date: a re-scan reads every visit."
    yield f"Every {hours} hours the visits of the last {days} days are read again by service date; unchanged ones stop there."


def _children(server: Server, settings: Settings, plan: Plan) -> Iterator[str]:
    for child in plan.children:
        if not settings.joins(child.type):
            yield f"{child.type} is not read: the option resources leaves it out."
        elif not server.has(child.type):
            yield f"{child.type} is not served: visits come without {PLURALS.get(child.type, child.type)}."
        else:
            yield _way(server, settings, child)
            yield from _changes(server, settings, child)


def _way(server: Server, settings: Settings, child: Child) -> str:
    things, path = PLURALS.get(child.type, child.type), f"{child.type}.{'.'.join(child.encounter_path)}"
    if server.first(child.type, child.encounter_params):
        both = child.is_line and settings.unlinked_lines and server.can(child.type, "patient", child.date_param or "patient")
        also = ", and by patient and date for those that name none (unlinked_lines: no saves that)" if both else ""
        return f"{child.type} can be searched by encounter: {things} are fetched by encounter{also}."
    by = server.first(child.type, child.patient_params)
    if by is None:
        return f"{child.type} can be searched neither by encounter nor by patient: visits come without {things}."
    dated = child.date_param is not None and server.can(child.type, child.date_param)
    fits = ", else by patient, day and performer" if child.day_paths else ""
    undated = f" One without {child.date_param} is not found." if dated and child.is_line else ""
    return (
        f"{child.type} cannot be searched by encounter: {things} are fetched by patient{' and date' if dated else ''} "
        f"and joined on {path}{fits}.{undated}"
    )


def _changes(server: Server, settings: Settings, child: Child) -> Iterator[str]:
    if settings.changed_children == "no" or not server.can(child.type, "_lastUpdated"):
        hours = int(settings.rescan_every.total_seconds() // 3600)
        yield f"A changed {child.type} bumps no Encounter and cannot be asked for: the re-scan finds it within {hours} hours."


def _papers(server: Server, settings: Settings) -> Iterator[str]:
    """Plans of care and referrals, which are read only where the clinic asks for them."""
    for kind, things in (("CarePlan", "plans of care"), ("ServiceRequest", "referrals")):
        if not settings.joins(kind):
            if server.declared and server.has(kind):
                yield f"{kind} is served and not read: name it in the option resources, and its scope, if it holds {things}."
        elif not server.has(kind):
            yield f"{kind} is not served: visits come without {things}."
        elif kind == "ServiceRequest":
            yield "ServiceRequest is read where Encounter.basedOn names it."
        elif server.first(kind, CARE_PLAN.patient_params) is None:
            yield "CarePlan cannot be searched by patient: only those that a visit's order names are read."
        else:
            yield "CarePlan is fetched by patient; a visit gets those of its order, else those near its day."


def _rest(server: Server) -> Iterator[str]:
    if server.first("Coverage", ("patient", "beneficiary")) is None:
        yield "Coverage cannot be searched by patient: visits come without insurance and will be held."
    if not server.has("RelatedPerson"):
        yield "RelatedPerson is not served: a subscriber who is no patient here is known only where Coverage contains one."
    if not server.can("Encounter", "patient"):
        yield "Encounter cannot be searched by patient: a line that names no visit is only tried on those of its run."
    for kind in ("Practitioner", "Location"):
        if not server.has(kind):
            yield f"{kind} is not served: references to it lead nowhere."
        elif not server.can(kind, "_id"):
            yield f"{kind} cannot be searched by _id: each is read once a run."
