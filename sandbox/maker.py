"""A maker of pretend visits, deterministic from a seed: one believable clinic's day, or any number of visits for scale."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from . import charting
from .charting import Resource
from .day import BILLING_NPI, DIAGNOSES, STAFF, fixed_offset, plans
from .day import PLANTED as PLANTED_ENCOUNTERS
from .people import Person, person
from .plan import VisitPlan, lines

SEED = 7
DAY = date(2026, 3, 12)
"""A Thursday in daylight saving time, inside the ICD-10-CM release of fiscal year 2026."""

CHICAGO = ZoneInfo("America/Chicago")
_LAST_YEAR_AS_A_CHILD = 26  # a parent's plan covers a child until then (45 CFR 147.120)


def clinic_day(day: date = DAY, time_zone: ZoneInfo = CHICAGO, seed: int = SEED) -> Iterator[Resource]:
    """The FHIR resources of a pretend clinic's day: staff and place first, then patients, coverages and charts.

    What is wrong on purpose, and where each visit must end, is in `day.PLANTED` and `day.FATES`.
    """
    random = Random(seed)
    written = datetime.combine(day - timedelta(days=30), time(12), tzinfo=UTC)
    yield from clinic(written)
    seen: set[str] = set()
    for plan in plans(day, time_zone, random):
        if plan.patient_id not in seen:
            seen.add(plan.patient_id)
            who = person(random, over_65=plan.payer == "MCR-B")
            yield charting.patient(plan.patient_id, who, written)
            yield from _coverages(plan, who, random, written)
            yield from charting.papers(plan)
        yield from charting.chart(plan)


def clinic(written: datetime) -> Iterator[Resource]:
    """The clinic's Organization, Location and Practitioners."""
    yield charting.organization(written, npi=BILLING_NPI)
    yield charting.location(written)
    for who in STAFF:
        yield charting.practitioner(
            who.id, npi=who.npi, family=who.family, given=who.given, credential=who.credential, written=written
        )


def _coverages(plan: VisitPlan, who: Person, random: Random, written: datetime) -> Iterator[Resource]:
    member_id = f"{plan.payer[:3]}X{random.randint(0, 9_999_999):07d}"
    missing = plan.id == PLANTED_ENCOUNTERS["missing-member-id"]
    relationship = random.choice(("self", "self", "spouse")) if plan.payer != "MCR-B" else "self"
    if relationship == "spouse" and who.birth_date > f"{plan.start.year - _LAST_YEAR_AS_A_CHILD}-12-31":
        relationship = "child"
    if relationship != "self":
        # Drawn apart, so that the clinic's day stays the same for a seed.
        insured = person(Random(f"{plan.patient_id} {relationship}"), over_65=relationship == "child")
        yield charting.related_person(plan.patient_id, insured, "SPS" if relationship == "spouse" else "PRN", written)
    yield charting.coverage(
        plan.patient_id, plan.payer, written, member_id=None if missing else member_id, relationship=relationship
    )


# ---------------------------------------------------------------- scale

TEMPLATES = (
    ("PT", "pr-pt1", "DN", "97112=24 97110=23 97140=15"),
    ("PT", "pr-pt2", "DN", "97110=23 97140=15 97112=10 G0283=15"),
    ("PT", "pr-pt3", "DN", "97110=18 97140=13 97116=10"),
    ("OT", "pr-ot1", "DN", "97530=23 97535=15 97110=8"),
    ("PT", "pr-pt1", "PN", "97110=30 97112=15 97140=8 G0283=15"),
    ("PT", "pr-pt2", "DN", "97116=16 97110=29 97112=8 97140=8"),
    ("PT", "pr-pt3", "DN", "97110=33 97140=7 97112=20 97535=10"),
)
"""Clean visits of three or four lines."""

_PAYERS = ("MCR-B", "ACME", "BLUE8", "MCR-B")
_LINES = tuple(lines(template[3]) for template in TEMPLATES)


@dataclass(frozen=True)
class Scale:
    """Any number of clean visits over `days` days, one patient for about eight visits; each is worked out from its number.

    Visits are numbered from 0 in the order of time. A patient has at most one visit a day. `last_day` is the last
    service date.
    """

    count: int
    days: int = 250
    seed: int = SEED
    last_day: date = DAY
    time_zone: ZoneInfo = CHICAGO
    _midnights: dict[int, datetime] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def patients(self) -> int:
        """How many patients: one for eight visits, and enough that nobody comes twice on a day."""
        return max(-(-self.count // 8), self.per_day)

    @cached_property
    def per_day(self) -> int:
        """Visits on each day, the last one perhaps fewer."""
        return max(-(-self.count // self.days), 1)

    def patient_number(self, number: int) -> int:
        """The patient of a visit; consecutive visits are of different patients."""
        return (number + self.seed) % self.patients

    def payer(self, patient_number: int) -> str:
        """A patient's payer, the same on all visits."""
        return _PAYERS[(patient_number + self.seed) % len(_PAYERS)]

    def plan(self, number: int) -> VisitPlan:
        """The visit `number` as a plan."""
        return self._recent_plan(number)

    @cached_property
    def _recent_plan(self) -> Callable[[int], VisitPlan]:
        """The last plans are kept: whoever reads an Encounter reads its Procedures and its note next."""
        return lru_cache(maxsize=512)(self._work_out)

    def _work_out(self, number: int) -> VisitPlan:
        patient_number = self.patient_number(number)
        template = (number + self.seed) % len(TEMPLATES)
        discipline, clinician, visit_type, _ = TEMPLATES[template]
        choices = DIAGNOSES[discipline]
        payer = self.payer(patient_number)
        return VisitPlan(
            id=f"v{number:07d}",
            patient_id=f"pat-{patient_number:06d}",
            discipline=discipline,
            visit_type=visit_type,
            payer=payer,
            clinician=clinician,
            assistant=None,
            referring="pr-md1",
            lines=_LINES[template],
            diagnoses=choices[patient_number % len(choices)],
            start=self.start(number),
            authorization=f"AUTH-{patient_number:06d}" if payer == "ACME" else None,
        )

    def start(self, number: int) -> datetime:
        """When the visit began: between 07:00 and 17:00 at the clinic, spread evenly."""
        day, slot = divmod(number, self.per_day)
        opening = self._midnights.get(day)
        if opening is None:
            on = self.last_day - timedelta(days=self.days - 1 - day)
            opening = self._midnights[day] = fixed_offset(datetime.combine(on, time(7), tzinfo=self.time_zone))
        return opening + timedelta(seconds=slot * 36_000 // self.per_day)

    def shared(self) -> Iterator[Resource]:
        """What the visits share: staff, place, patients and coverages."""
        first = self.last_day - timedelta(days=self.days + 30)
        written = datetime.combine(first, time(12), tzinfo=UTC)
        yield from clinic(written)
        random = Random(self.seed)
        for number in range(min(self.patients, self.count)):
            patient_number = self.patient_number(number)
            payer = self.payer(patient_number)
            patient_id = f"pat-{patient_number:06d}"
            yield charting.patient(patient_id, person(random, over_65=payer == "MCR-B"), written)
            yield charting.coverage(patient_id, payer, written, member_id=f"SBX{patient_number:08d}")

    def part(self, number: int, index: int) -> Resource:
        """Resource `index` of the visit: 0 Encounter, then Procedures, Conditions, the note, the Appointment."""
        plan = self.plan(number)
        if index == 0:
            return charting.encounter(plan)
        index -= 1
        if index < len(plan.lines):
            return charting.procedure(plan, index)
        index -= len(plan.lines)
        if index < len(plan.diagnoses):
            return charting.condition(plan, index)
        return charting.note(plan) if index == len(plan.diagnoses) else charting.appointment(plan)


def visits(count: int, *, days: int = 250, seed: int = SEED) -> Iterator[VisitPlan]:
    """`count` clean visits as plans, in the order of time, one at a time; `charting.chart` makes the resources of each."""
    scale = Scale(count, days=days, seed=seed)
    return (scale.plan(number) for number in range(count))


# ---------------------------------------------------------------- one page for the bench

_SENTENCE = "Patient tolerated the treatment well and reports the same function as on the previous visit; plan continues. "


def bench_page(encounters: int = 100, *, bytes_per_encounter: int = 5250, seed: int = SEED) -> bytes:
    """One searchset Bundle of clean visits with all that belongs to them; 100 encounters make about 525 KB.

    Three Procedures (minutes, no units) and a signed note for each Encounter; Conditions once for each patient's
    episode; Medicare and commercial coverage; staff and place. Encounters carry a narrative (`text.div`) as EMRs send
    it, as long as it takes to reach the size.
    """
    scale = Scale(encounters, days=max(encounters // 25, 1), seed=seed)
    resources: dict[str, Resource] = {}
    for number in range(encounters):
        for resource in charting.chart(_bench_plan(scale, number)):
            if resource["resourceType"] != "Appointment":
                resources.setdefault(resource["id"], resource)
    for resource in scale.shared():
        if resource["id"] in resources or resource["id"] not in _BENCH_ABSENT:
            resources[resource["id"]] = resource
    everything = list(resources.values())
    visits_of_page = [resource for resource in everything if resource["resourceType"] == "Encounter"]
    for visit in visits_of_page:
        del visit["appointment"]
        visit["text"] = _narrative(0)
    short = encounters * bytes_per_encounter - len(_bundle(everything))
    for visit in visits_of_page:
        visit["text"] = _narrative(short // encounters)
    return _bundle(everything)


_BENCH_ABSENT = frozenset({"pr-pt4", "pr-pta1", "pr-cota1", "pr-slp1", "pr-md2"})
"""Staff whom no visit of the page names."""


def _bench_plan(scale: Scale, number: int) -> VisitPlan:
    """The visit `number`; its Conditions are those of the patient's first visit on the page."""
    plan = scale.plan(number)
    first = number % scale.patients
    diagnoses = scale.plan(first).diagnoses[:1]
    return replace(plan, lines=plan.lines[:3], diagnoses=diagnoses, episode=f"v{first:07d}", shows_units=False)


def _narrative(size: int) -> Resource:
    text = (_SENTENCE * (max(size, 0) // len(_SENTENCE) + 1))[: max(size, 0)]
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{text}</p></div>'}


def _bundle(resources: Iterable[dict[str, Any]]) -> bytes:
    entries = [
        {
            "fullUrl": f"https://emr/{resource['resourceType']}/{resource['id']}",
            "resource": resource,
            "search": {"mode": "match" if resource["resourceType"] == "Encounter" else "include"},
        }
        for resource in resources
    ]
    return orjson.dumps({"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries})
