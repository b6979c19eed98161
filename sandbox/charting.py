"""From a visit plan to the FHIR R4 resources that the sandbox EMR would hold for it. Builders only; no state, no chance.

Every id is derived: `enc-0007` has the Procedures `enc-0007-p1…`, the Conditions `enc-0007-c1…`, the note `enc-0007-note`
and the Appointment `enc-0007-apt`; the plan of care and the order behind it are the patient's, one of each discipline.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from .people import Person
from .plan import Care, Line, VisitPlan, emr_units

SYSTEM = "https://sandbox.ptbridge.dev/fhir"
CPT = "http://www.ama-assn.org/go/cpt"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"
NPI = "http://hl7.org/fhir/sid/us-npi"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
LOCATION_ID = "loc-main"
ORGANIZATION_ID = "org-clinic"

SNOMED = "http://snomed.info/sct"
PLAN_CATEGORIES = {"PT": "773513001", "OT": "736055001", "SLP": "736055001"}
"""SNOMED CT: the physiotherapy care plan; for the others, which have none of their own here, the rehabilitation care plan."""

NOTE_TYPES = {"PT": "28579-1", "OT": "28578-3", "SLP": "28571-8"}
"""LOINC: the physical, occupational and speech therapy visit notes."""

PAYER_NAMES = {"MCR-B": "Medicare Part B", "ACME": "Acme Health Plan", "BLUE8": "Blue River Mutual"}

Resource = dict[str, Any]


def instant(moment: datetime) -> str:
    """A FHIR instant in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def meta(moment: datetime, version: int = 1) -> Resource:
    """`meta` of a resource last written at that moment."""
    return {"versionId": str(version), "lastUpdated": instant(moment)}


def coding(system: str, code: str) -> Resource:
    """A CodeableConcept with one coding and no display: no descriptor of a licensed code set is ever written."""
    return {"coding": [{"system": system, "code": code}]}


def visit_end(plan: VisitPlan) -> datetime:
    """When the visit ended: its documented minutes and five more, or 45 minutes when none were written."""
    minutes = sum(line.minutes or 0 for line in plan.lines)
    return plan.start + timedelta(minutes=minutes + 5 if minutes else 45)


def chart(plan: VisitPlan) -> Iterator[Resource]:
    """All resources of one visit: Encounter, Procedures, Conditions, note, Appointment."""
    yield encounter(plan)
    for index in range(len(plan.lines)):
        yield procedure(plan, index)
    for index in range(len(plan.diagnoses)):
        yield condition(plan, index)
    if plan.note is not None:
        yield note(plan)
    yield appointment(plan)


def encounter(plan: VisitPlan) -> Resource:
    """The Encounter of a visit."""
    end = visit_end(plan)
    resource: Resource = {
        "resourceType": "Encounter",
        "id": plan.id,
        "meta": meta(end + timedelta(minutes=10)),
        "status": plan.status,
        "class": {"system": ACT_CODE, "code": "AMB"},
        "type": [coding(f"{SYSTEM}/visit-type", plan.visit_type)],
        "serviceType": coding(f"{SYSTEM}/discipline", plan.discipline),
        "subject": {"reference": f"Patient/{plan.patient_id}"},
        "participant": _participants(plan),
        "appointment": [{"reference": f"Appointment/{plan.id}-apt"}],
        "period": {"start": _local(plan, plan.start), "end": _local(plan, end)},
        "location": [{"location": {"reference": f"Location/{LOCATION_ID}"}}],
        "serviceProvider": {"reference": f"Organization/{ORGANIZATION_ID}"},
    }
    if plan.diagnoses:
        resource["diagnosis"] = [
            {"condition": {"reference": f"Condition/{plan.conditions_of}-c{rank}"}, "rank": rank}
            for rank in range(1, len(plan.diagnoses) + 1)
        ]
    if plan.care is not None:
        resource["basedOn"] = [{"reference": f"ServiceRequest/{order_id(plan)}"}]
    extensions = _encounter_extensions(plan)
    if extensions:
        resource["extension"] = extensions
    return resource


def _encounter_extensions(plan: VisitPlan) -> list[Resource]:
    extensions: list[Resource] = []
    if plan.kept_lines:
        totals = (
            ("timed-minutes-total", plan.timed_minutes_total),
            ("treatment-minutes-total", plan.treatment_minutes_total),
        )
        extensions += [{"url": f"{SYSTEM}/{name}", "valueInteger": total} for name, total in totals if total is not None]
    if plan.authorization:
        extensions.append({"url": f"{SYSTEM}/authorization", "valueString": plan.authorization})
    return extensions


def _participants(plan: VisitPlan) -> list[Resource]:
    people = [("PPRF", plan.clinician), ("REFB", plan.referring)]
    if plan.assistant is not None:
        people[1:1] = [("SPRF", plan.assistant), ("ATND", plan.clinician)]
    return [
        {"type": [coding(PARTICIPATION, code)], "individual": {"reference": f"Practitioner/{person_id}"}}
        for code, person_id in people
    ]


def procedure(plan: VisitPlan, index: int) -> Resource:
    """The Procedure of the visit's line `index`; lines follow each other in time."""
    line = plan.lines[index]
    start = plan.start + timedelta(minutes=sum(earlier.minutes or 0 for earlier in plan.lines[:index]))
    resource: Resource = {
        "resourceType": "Procedure",
        "id": f"{plan.id}-p{index + 1}",
        "meta": meta(visit_end(plan) + timedelta(minutes=8)),
        "status": "entered-in-error" if line.entered_in_error else "completed",
        "code": coding(f"{SYSTEM}/local-service" if line.local else CPT, line.code),
        "subject": {"reference": f"Patient/{plan.patient_id}"},
        "encounter": {"reference": f"Encounter/{plan.id}"},
    }
    if line.minutes is not None:
        end = start + timedelta(minutes=line.minutes)
        resource["performedPeriod"] = {"start": _local(plan, start), "end": _local(plan, end)}
    resource["performer"] = _performers(plan, line)
    if plan.diagnoses:
        resource["reasonReference"] = [{"reference": f"Condition/{plan.conditions_of}-c1"}]
    resource["extension"] = _procedure_extensions(plan, line, index)
    return resource


def _performers(plan: VisitPlan, line: Line) -> list[Resource]:
    roles = []
    if line.assistant_minutes is None or line.assistant_minutes < (line.minutes or 0):
        roles.append(("therapist", plan.clinician))
    if line.assistant_minutes and plan.assistant is not None:
        roles.append(("assistant", plan.assistant))
    return [
        {"function": coding(f"{SYSTEM}/performer-role", role), "actor": {"reference": f"Practitioner/{person_id}"}}
        for role, person_id in roles
    ]


def _procedure_extensions(plan: VisitPlan, line: Line, index: int) -> list[Resource]:
    extensions: list[Resource] = []
    if line.minutes is not None:
        extensions.append(_minutes("minutes", line.minutes))
        if line.assistant_minutes is not None:
            extensions.append(_minutes("therapist-minutes", line.minutes - line.assistant_minutes))
            extensions.append(_minutes("assistant-minutes", line.assistant_minutes))
    units = _units(plan, line)
    if units is not None:
        extensions.append({"url": f"{SYSTEM}/units", "valueInteger": units})
    if plan.shows_units:
        extensions.append({"url": f"{SYSTEM}/sequence", "valueInteger": index + 1})
    return extensions


def _minutes(name: str, value: int) -> Resource:
    return {"url": f"{SYSTEM}/{name}", "valueQuantity": {"value": value, "unit": "min", "system": UCUM, "code": "min"}}


def _units(plan: VisitPlan, line: Line) -> int | None:
    """What this EMR shows as units; None where it shows none (no minutes, an error, a word that is no code)."""
    if line.units is not None:
        return line.units
    if not plan.shows_units or line.minutes is None or line.local or line.entered_in_error:
        return None
    return emr_units(plan.lines, plan.payer)[line.code] if line.timed else 1


def condition(plan: VisitPlan, index: int) -> Resource:
    """The encounter diagnosis `index`."""
    return {
        "resourceType": "Condition",
        "id": f"{plan.conditions_of}-c{index + 1}",
        "meta": meta(visit_end(plan) + timedelta(minutes=8)),
        "clinicalStatus": coding("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
        "category": [coding("http://terminology.hl7.org/CodeSystem/condition-category", "encounter-diagnosis")],
        "code": coding(ICD10CM, plan.diagnoses[index]),
        "subject": {"reference": f"Patient/{plan.patient_id}"},
        "encounter": {"reference": f"Encounter/{plan.conditions_of}"},
    }


def note(plan: VisitPlan) -> Resource:
    """The treatment note; `authenticator` only once it is signed."""
    written = visit_end(plan) + timedelta(minutes=25)
    resource: Resource = {
        "resourceType": "DocumentReference",
        "id": f"{plan.id}-note",
        "meta": meta(written),
        "status": "current",
        "docStatus": plan.note,
        "type": coding(LOINC, NOTE_TYPES[plan.discipline]),
        "subject": {"reference": f"Patient/{plan.patient_id}"},
        "date": instant(written),
        "author": [{"reference": f"Practitioner/{plan.clinician}"}],
        "content": [{"attachment": {"contentType": "text/plain", "title": "Synthetic note"}}],
        "context": {"encounter": [{"reference": f"Encounter/{plan.id}"}]},
    }
    if plan.note == "final":
        resource["authenticator"] = {"reference": f"Practitioner/{plan.clinician}"}
    return resource


def appointment(plan: VisitPlan) -> Resource:
    """The Appointment behind the visit."""
    return {
        "resourceType": "Appointment",
        "id": f"{plan.id}-apt",
        "meta": meta(plan.start),
        "status": plan.appointment,
        "start": instant(plan.start),
        "end": instant(visit_end(plan)),
        "participant": [
            {"actor": {"reference": f"Patient/{plan.patient_id}"}, "status": "accepted"},
            {"actor": {"reference": f"Practitioner/{plan.clinician}"}, "status": "accepted"},
            {"actor": {"reference": f"Location/{LOCATION_ID}"}, "status": "accepted"},
        ],
    }


def order_id(plan: VisitPlan) -> str:
    """The id of the order behind the visit: one of each patient and discipline."""
    return f"order-{plan.patient_id}-{plan.discipline.lower()}"


def papers(plan: VisitPlan) -> Iterator[Resource]:
    """The physician's order and the plan of care that carries it out; nothing where the EMR has none."""
    if plan.care is not None:
        yield _order(plan, plan.care)
        yield _care_plan(plan, plan.care)


def _order(plan: VisitPlan, care: Care) -> Resource:
    return {
        "resourceType": "ServiceRequest",
        "id": order_id(plan),
        "meta": meta(_noon(care.ordered_on)),
        "status": "active",
        "intent": "order",
        "subject": {"reference": f"Patient/{plan.patient_id}"},
        "authoredOn": care.ordered_on.isoformat(),
        "requester": {"reference": f"Practitioner/{plan.referring}"},
    }


def _care_plan(plan: VisitPlan, care: Care) -> Resource:
    """FHIR has no place for the certification: this EMR has an extension of its own."""
    resource: Resource = {
        "resourceType": "CarePlan",
        "id": f"plan-{plan.patient_id}-{plan.discipline.lower()}",
        "meta": meta(_noon(care.certified_on or care.start)),
        "status": "active",
        "intent": "plan",
        "category": [
            coding("http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "assess-plan"),
            coding(SNOMED, PLAN_CATEGORIES[plan.discipline]),
        ],
        "subject": {"reference": f"Patient/{plan.patient_id}"},
        "period": {"start": care.start.isoformat(), "end": care.end.isoformat()},
        "author": {"reference": f"Practitioner/{plan.clinician}"},
        "activity": [{"reference": {"reference": f"ServiceRequest/{order_id(plan)}"}}],
    }
    if care.certified_on is not None:
        resource["extension"] = [{"url": f"{SYSTEM}/certified-on", "valueDate": care.certified_on.isoformat()}]
    return resource


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), tzinfo=UTC)


def patient(patient_id: str, who: Person, written: datetime) -> Resource:
    """A Patient with its medical record number."""
    return {
        "resourceType": "Patient",
        "id": patient_id,
        "meta": meta(written),
        "identifier": [
            {
                "type": coding("http://terminology.hl7.org/CodeSystem/v2-0203", "MR"),
                "system": f"{SYSTEM}/mrn",
                "value": f"SBX-{patient_id.removeprefix('pat-')}",
            }
        ],
        "name": [{"use": "official", "family": who.family, "given": [who.given]}],
        "gender": who.gender,
        "birthDate": who.birth_date,
        "address": [{"line": [who.street], "city": "Sandbox City", "state": "IL", "postalCode": who.postal_code}],
        "telecom": [{"system": "phone", "value": who.phone}],
    }


def related_person(patient_id: str, who: Person, relationship: str, written: datetime) -> Resource:
    """The person whose insurance a patient has, by v3-RoleCode: SPS is a spouse, PRN a parent."""
    return {
        "resourceType": "RelatedPerson",
        "id": f"rel-{patient_id}",
        "meta": meta(written),
        "active": True,
        "patient": {"reference": f"Patient/{patient_id}"},
        "relationship": [coding("http://terminology.hl7.org/CodeSystem/v3-RoleCode", relationship)],
        "name": [{"use": "official", "family": who.family, "given": [who.given]}],
        "gender": who.gender,
        "birthDate": who.birth_date,
        "address": [{"line": [who.street], "city": "Sandbox City", "state": "IL", "postalCode": who.postal_code}],
    }


def coverage(
    patient_id: str, payer: str, written: datetime, *, member_id: str | None, order: int = 1, relationship: str = "self"
) -> Resource:
    """One insurance of a patient. `member_id` None: nobody typed it in."""
    resource: Resource = {
        "resourceType": "Coverage",
        "id": f"cov-{patient_id}-{order}",
        "meta": meta(written),
        "status": "active",
        "order": order,
        "beneficiary": {"reference": f"Patient/{patient_id}"},
        "relationship": coding("http://terminology.hl7.org/CodeSystem/subscriber-relationship", relationship),
        "payor": [
            {"display": PAYER_NAMES[payer], "identifier": {"system": f"{SYSTEM}/payer-id", "value": payer}},
        ],
        "period": {"start": f"{written.year - 1}-01-01"},
    }
    subscriber = f"Patient/{patient_id}" if relationship == "self" else f"RelatedPerson/rel-{patient_id}"
    resource["subscriber"] = {"reference": subscriber}
    if member_id is not None:
        resource["subscriberId"] = member_id
    if payer != "MCR-B":
        resource["class"] = [
            {"type": coding("http://terminology.hl7.org/CodeSystem/coverage-class", kind), "value": value, "name": name}
            for kind, value, name in (("group", f"GRP-{payer}", "Sandbox Employer"), ("plan", f"PLAN-{payer}", "Sandbox Plan"))
        ]
    return resource


def practitioner(practitioner_id: str, *, npi: str, family: str, given: str, credential: str, written: datetime) -> Resource:
    """A clinician with NPI and credential."""
    return {
        "resourceType": "Practitioner",
        "id": practitioner_id,
        "meta": meta(written),
        "identifier": [{"system": NPI, "value": npi}],
        "name": [{"family": family, "given": [given]}],
        "qualification": [{"code": coding("http://terminology.hl7.org/CodeSystem/v2-0360", credential)}],
    }


def location(written: datetime) -> Resource:
    """The clinic's one Location: place of service 11."""
    return {
        "resourceType": "Location",
        "id": LOCATION_ID,
        "meta": meta(written),
        "extension": [{"url": f"{SYSTEM}/place-of-service", "valueCode": "11"}],
        "status": "active",
        "name": "Sandbox Therapy, main clinic",
        "managingOrganization": {"reference": f"Organization/{ORGANIZATION_ID}"},
    }


def organization(written: datetime, *, npi: str) -> Resource:
    """The clinic as an Organization."""
    return {
        "resourceType": "Organization",
        "id": ORGANIZATION_ID,
        "meta": meta(written),
        "identifier": [{"system": NPI, "value": npi}],
        "name": "Sandbox Therapy",
    }


def _local(plan: VisitPlan, moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if plan.in_utc else moment.isoformat()
