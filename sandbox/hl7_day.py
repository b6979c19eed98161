"""The pretend clinic's day as its EMR tells it over HL7 v2: booked, arrived, charged, signed; later a correction and a merge.

The visits are those of `day.DAY`, numbered in this EMR's own way; `fates` is the truth that a run can be checked against.
This EMR credits a charge by its FT1-2 and charges it anew, and registers a patient twice: only the merge in the evening says
that two visits are one patient's day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .day import FATES, PLANTED, STAFF, Clinician, plans
from .maker import CHICAGO, DAY, SEED, clinic_day
from .people import Person, person
from .plan import Line, VisitPlan, emr_units

MODIFIERS = {"PT": "GP", "OT": "GO", "SLP": "GN"}
_AUTHORITY = "SANDBOX"
_SPECIAL = {"|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "\\": "\\E\\", "&": "\\T\\"}
_BY_ID = {who.id: who for who in STAFF}


class Told(NamedTuple):
    """One message, when the EMR sends it, and which visit it is about."""

    at: datetime
    kind: str
    visit: str
    raw: bytes


class Insured(NamedTuple):
    """Whose insurance a patient has, and the patient's relationship to that person (IN1-17, table 0063)."""

    who: Person
    relationship: str


def visit_number(visit: str) -> str:
    """This EMR's number (PV1-19) of a visit of the day's table."""
    return visit.replace("enc-", "V")


def fates() -> dict[str, str]:
    """Visit number -> where the visit must end: sent, held or excluded."""
    return {visit_number(visit): fate for visit, fate in FATES.items()}


def hl7_day(day: date = DAY, time_zone: ZoneInfo = CHICAGO, seed: int = SEED) -> list[Told]:
    """The day's messages in the order in which they are sent. The same arguments give the same bytes."""
    random = Random(seed)
    found: list[VisitPlan] = list(plans(day, time_zone, random))
    people = {plan.patient_id: person(random, over_65=plan.payer == "MCR-B") for plan in found}
    insured = _insured(day, time_zone, seed)
    finished = [plan for plan in found if plan.status == "finished" and plan.kept_lines]
    corrected = finished[0]
    twice = next(plan for plan in found if plan.id == PLANTED["same-day-second"])
    told: list[tuple[datetime, str, VisitPlan, list[str]]] = []
    for plan in found:
        mrn = f"{plan.patient_id}-B" if plan is twice else plan.patient_id
        told += _visit(plan, people[plan.patient_id], insured.get(plan.patient_id), mrn)
    evening = datetime.combine(day, datetime.min.time(), tzinfo=time_zone) + timedelta(hours=21)
    told.append((evening, "DFT^P03^DFT_P03", corrected, _correction(corrected, people, insured)))
    told.append((evening, "ADT^A40^ADT_A39", twice, _merge(twice, people[twice.patient_id])))
    told.sort(key=lambda one: one[0])
    return [
        Told(at, kind, visit_number(plan.id), _message(number, at, kind, body))
        for number, (at, kind, plan, body) in enumerate(told, 1)
    ]


def _insured(day: date, time_zone: ZoneInfo, seed: int) -> dict[str, Insured]:
    """Patient -> whose insurance it is, where that is another person: the same people as at the clinic that speaks FHIR."""
    found: dict[str, Insured] = {}
    for resource in clinic_day(day, time_zone, seed):
        if resource["resourceType"] == "RelatedPerson":
            parent = resource["relationship"][0]["coding"][0]["code"] == "PRN"
            (name,), (address,) = resource["name"], resource["address"]
            who = Person(
                given=name["given"][0],
                family=name["family"],
                gender=resource["gender"],
                birth_date=resource["birthDate"],
                street=address["line"][0],
                postal_code=address["postalCode"],
                phone="",
            )
            found[resource["patient"]["reference"].removeprefix("Patient/")] = Insured(who, "CHD" if parent else "SPO")
    return found


def _visit(
    plan: VisitPlan, who: Person, insured: Insured | None, mrn: str
) -> Iterator[tuple[datetime, str, VisitPlan, list[str]]]:
    """The life of one visit: booked before the day, then what became of it."""
    start, end = plan.start, plan.start + timedelta(minutes=plan.treatment_minutes_total or 45)
    patient, visit = _patient(who, mrn), _encounter(plan)
    yield start - timedelta(days=7), "SIU^S12^SIU_S12", plan, [_schedule(plan, "Booked"), patient, visit]
    if plan.appointment == "noshow":
        yield end, "SIU^S26^SIU_S12", plan, [_schedule(plan, "Noshow"), patient, visit]
    elif plan.appointment == "cancelled":
        yield start, "SIU^S15^SIU_S12", plan, [_schedule(plan, "Cancelled"), patient, visit]
    else:
        yield start, "ADT^A04^ADT_A01", plan, [patient, visit, *_insurance(plan, who, insured)]
    if plan.status == "entered-in-error" and plan.appointment not in ("noshow", "cancelled"):
        yield end, "ADT^A11^ADT_A09", plan, [patient, visit]
    elif plan.status == "finished":
        yield (
            end,
            "DFT^P03^DFT_P03",
            plan,
            [
                patient,
                visit,
                *_charges(plan),
                *_diagnoses(plan),
                *_insurance(plan, who, insured),
            ],
        )
        if plan.note is not None:
            yield end + timedelta(minutes=10), "MDM^T02^MDM_T02", plan, [patient, visit, _note(plan, end)]


def _charges(plan: VisitPlan) -> list[str]:
    return [
        segment
        for number, line in enumerate(plan.kept_lines, 1)
        for segment in _charge(plan, number, line, "CG", _units(plan, line))
    ]


def _units(plan: VisitPlan, line: Line) -> int | None:
    """What this EMR shows as units; None where it shows none."""
    if line.units is not None:
        return line.units
    if not plan.shows_units or line.minutes is None or line.local:
        return None
    return emr_units(plan.kept_lines, plan.payer)[line.code] if line.timed else 1


def _correction(plan: VisitPlan, people: Mapping[str, Person], insured: Mapping[str, Insured]) -> list[str]:
    """The first charge is taken back and written anew with five minutes less."""
    line = plan.kept_lines[0]
    units = _units(plan, line)
    changed = Line(line.code, max((line.minutes or 0) - 5, 1))
    who = people[plan.patient_id]
    body = [_patient(who, plan.patient_id), _encounter(plan)]
    return [
        *body,
        *_charge(plan, 1, line, "CD", units),
        *_charge(plan, 2, changed, "CG", units, key=f"{visit_number(plan.id)}-1-again"),
        *_diagnoses(plan),
        *_insurance(plan, who, insured.get(plan.patient_id)),
    ]


def _merge(plan: VisitPlan, who: Person) -> list[str]:
    return [_patient(who, plan.patient_id), _segment("MRG", {1: f"{plan.patient_id}-B^^^{_AUTHORITY}^MR"})]


def _charge(plan: VisitPlan, number: int, line: Line, kind: str, units: int | None, *, key: str = "") -> list[str]:
    """FT1 with the procedure in FT1-25, and PR1 with its minutes; a word of the clinic's own stands in FT1-7 alone."""
    on = plan.start.strftime("%Y%m%d")
    ft1 = {
        1: str(number), 2: key or f"{visit_number(plan.id)}-{number}", 4: on, 5: on, 6: kind,
        7: f"{_text(line.code)}^^{'L' if line.local else 'C4'}",
        10: "" if units is None else str(units), 19: "~".join(f"{code}^^I10" for code in plan.diagnoses),
        20: _clinician(_BY_ID[plan.clinician]), 21: _clinician(_BY_ID[plan.referring]),
        25: "" if line.local else f"{line.code}^^C4", 26: MODIFIERS[plan.discipline],
    }  # fmt: skip
    if line.minutes is None:
        return [_segment("FT1", ft1)]
    return [_segment("FT1", ft1), _segment("PR1", {1: "1", 3: f"{_text(line.code)}^^C4", 5: on, 7: str(line.minutes)})]


def _diagnoses(plan: VisitPlan) -> list[str]:
    return [_segment("DG1", {1: str(n), 3: f"{code}^^I10", 6: "F", 15: str(n)}) for n, code in enumerate(plan.diagnoses, 1)]


def _patient(who: Person, mrn: str) -> str:
    name = f"{_text(who.family)}^{_text(who.given)}"
    address = f"{_text(who.street)}^^Chicago^IL^{who.postal_code}"
    born, sex = who.birth_date.replace("-", ""), who.gender[:1].upper()
    return _segment("PID", {1: "1", 3: f"{mrn}^^^{_AUTHORITY}^MR", 5: name, 7: born, 8: sex, 11: address, 13: who.phone})


def _encounter(plan: VisitPlan) -> str:
    doctor, referring = _clinician(_BY_ID[plan.clinician]), _clinician(_BY_ID[plan.referring])
    start = plan.start.strftime("%Y%m%d%H%M")
    return _segment(
        "PV1",
        {
            1: "1",
            2: "O",
            7: doctor,
            8: referring,
            10: plan.discipline,
            19: f"{visit_number(plan.id)}^^^{_AUTHORITY}^VN",
            44: start,
        },
    )


def _insurance(plan: VisitPlan, who: Person, insured: Insured | None) -> list[str]:
    """IN1 with the insured, the patient or another; a parent who insures a child is its guarantor too (GT1)."""
    member = "" if plan.id == PLANTED["missing-member-id"] else f"{plan.payer[:3]}X{plan.patient_id[-4:]}000"
    fields = {1: "1", 2: plan.payer, 3: f"{plan.payer}^^^{_AUTHORITY}", 4: plan.payer, 14: plan.authorization or "", 36: member}
    if insured is None:
        return [_segment("IN1", {**fields, 16: f"{_text(who.family)}^{_text(who.given)}", 17: "SEL"})]
    other, related = insured
    name, born, sex = f"{_text(other.family)}^{_text(other.given)}", other.birth_date.replace("-", ""), other.gender[:1].upper()
    address = f"{_text(other.street)}^^Chicago^IL^{other.postal_code}"
    of_parent = [_segment("GT1", {1: "1", 3: name, 5: address, 8: born, 9: sex, 11: "PAR"})] if related == "CHD" else []
    return [*of_parent, _segment("IN1", {**fields, 16: name, 17: related, 18: born, 19: address, 43: sex})]


def _schedule(plan: VisitPlan, status: str) -> str:
    start = plan.start.strftime("%Y%m%d%H%M%S")
    return _segment(
        "SCH",
        {
            1: f"A-{visit_number(plan.id)}",
            2: f"A-{visit_number(plan.id)}",
            6: "ROUTINE",
            7: plan.visit_type,
            11: f"^^^{start}",
            25: status,
        },
    )


def _note(plan: VisitPlan, at: datetime) -> str:
    state = "AU" if plan.note == "final" else "PA"
    return _segment(
        "TXA", {1: "1", 2: "PN", 3: "TX", 4: at.strftime("%Y%m%d%H%M%S"), 12: f"N-{visit_number(plan.id)}", 17: state}
    )


def _clinician(who: Clinician) -> str:
    return f"{who.npi}^{_text(who.family)}^{_text(who.given)}^^^^{who.credential}^^NPI^L^^^NPI"


def _message(number: int, at: datetime, kind: str, body: list[str]) -> bytes:
    stamp = at.strftime("%Y%m%d%H%M%S%z")
    header = f"MSH|^~\\&|SANDBOX-EMR|SANDBOX-CLINIC|PTBRIDGE|HUB|{stamp}||{kind}|SBX{number:06d}|P|2.5.1||||||UNICODE UTF-8"
    event = [] if kind.startswith("SIU") else [_segment("EVN", {1: kind.split("^")[1], 2: stamp})]
    return "".join(f"{line}\r" for line in (header, *event, *body)).encode()


def _segment(name: str, fields: dict[int, str]) -> str:
    return "|".join([name, *(fields.get(place, "") for place in range(1, max(fields) + 1))]).rstrip("|")


def _text(text: str) -> str:
    return "".join(_SPECIAL.get(char, char) for char in text)
