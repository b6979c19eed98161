"""The pretend clinic's day as a table: who came when, what was documented, and what is wrong on purpose.

`PLANTED` and `FATES` are the truth that a run can be checked against: which visit carries which problem, and where it
must end. The seed changes people and diagnoses, never this table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .people import broken_npi, npi
from .plan import Care, VisitPlan, lines

BILLING_NPI = npi(100)
"""The clinic's own NPI (X12 loop 2010AA)."""


class Clinician(NamedTuple):
    """A member of the pretend staff."""

    id: str
    family: str
    given: str
    credential: str
    npi: str


STAFF = (
    Clinician("pr-pt1", "Kneewell", "Paula", "PT", npi(201)),
    Clinician("pr-pt2", "Backus", "Peter", "PT", npi(202)),
    Clinician("pr-pt3", "Gaitley", "Petra", "PT", npi(203)),
    Clinician("pr-pt4", "Perdiem", "Percy", "PT", broken_npi(204)),
    Clinician("pr-pta1", "Assistwood", "Tara", "PTA", npi(211)),
    Clinician("pr-ot1", "Handley", "Otto", "OT", npi(221)),
    Clinician("pr-cota1", "Gripson", "Cody", "OTA", npi(222)),
    Clinician("pr-slp1", "Speakman", "Sally", "SLP", npi(231)),
    Clinician("pr-md1", "Refermore", "Mira", "MD", npi(241)),
    Clinician("pr-md2", "Orderly", "Moritz", "MD", npi(242)),
)

DIAGNOSES = {
    "PT": (("M54.50",), ("M25.561", "M17.11"), ("M54.2",), ("M25.511", "M75.101"), ("Z47.1", "Z96.651"), ("R26.89", "R29.6")),
    "OT": (("M79.641",), ("G56.01",), ("M18.11",), ("I69.351",), ("S52.501D",)),
    "SLP": (("R47.01",), ("I69.320",), ("F80.2",), ("R48.8",)),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what is special is `problem` (a key of PLANTED) and its `fate`."""

    at: str
    clinician: str
    visit_type: str
    payer: str
    documented: str
    problem: str = ""
    fate: str = "sent"


PTA, COTA = "pr-pt1/pr-pta1", "pr-ot1/pr-cota1"

DAY = (
    # Three physical therapists. Mixed remainders, ties, minutes that two counting rules see differently.
    Row("07:00", "pr-pt1", "IE", "MCR-B", "97161=35 97110=12"),
    Row("08:00", "pr-pt1", "DN", "MCR-B", "97112=24 97110=23"),
    Row("08:55", "pr-pt1", "DN", "ACME", "97112=24 97110=23"),
    Row("09:50", "pr-pt1", "DN", "MCR-B", "97110=33 97140=7"),
    Row("10:40", "pr-pt1", "DN", "ACME", "97110=33 97140=7"),
    Row("11:30", "pr-pt1", "DN", "MCR-B", "97112=20x1 97110=20x2", "tie"),
    Row("13:00", "pr-pt1", "DN", "BLUE8", "97110=18 97140=13 97116=10 97112=8"),
    Row("13:55", "pr-pt1", "PN", "MCR-B", "97110=30 97140=15 G0283=15"),
    Row("15:05", "pr-pt1", "DN", "ACME", "97110=25 97530=16"),
    Row("15:55", "pr-pt1", "DN", "BLUE8", "97110=16 97112=15"),
    Row("16:35", "pr-pt1", "DS", "MCR-B", "97110=20 97535=10"),
    Row("07:00", "pr-pt2", "IE", "ACME", "97162=45"),
    Row("08:00", "pr-pt2", "DN", "BLUE8", "97110=22 97140=18"),
    Row("08:50", "pr-pt2", "DN", "MCR-B", "97140=15 97110=15 97112=8"),
    Row("09:40", "pr-pt2", "DN", "ACME", "97140=24 97110=15 97014=15"),
    Row("10:45", "pr-pt2", "RE", "MCR-B", "97164=20 97110=23"),
    Row("11:40", "pr-pt2", "DN", "BLUE8", "97116=23 97110=15"),
    Row("13:00", "pr-pt2", "DN", "ACME", "97110=38 97140=9"),
    Row("13:55", "pr-pt2", "DN", "MCR-B", "97110=31 97112=14 97010=10"),
    Row("15:00", "pr-pt2", "DN", "ACME", "97530=30 97110=10"),
    Row("15:50", "pr-pt2", "DN", "MCR-B", "97116=16 97110=29"),
    Row("16:45", "pr-pt2", "DN", "ACME", "97110=15 97112=15 97140=15"),
    Row("07:30", "pr-pt3", "IE", "BLUE8", "97163=55"),
    Row("08:40", "pr-pt3", "DN", "MCR-B", "97110=27 97112=11"),
    # A group of three: each patient one unit, and no minutes join the timed pool.
    Row("09:30", "pr-pt3", "DN", "MCR-B", "97150=30"),
    Row("09:30", "pr-pt3", "DN", "ACME", "97150=30"),
    Row("09:30", "pr-pt3", "DN", "BLUE8", "97150=30"),
    Row("10:10", "pr-pt3", "DN", "ACME", "97110=8 97112=8 97140=8"),
    Row("10:50", "pr-pt3", "DN", "MCR-B", "97112=7 97110=7 97140=7"),
    Row("11:25", "pr-pt3", "DN", "ACME", "97110=14 97140=23"),
    # A plan of care that nobody certified in its first 40 days: sent, with a warning.
    Row("13:00", "pr-pt3", "DN", "MCR-B", "97110=40 97530=13", "plan-not-certified"),
    Row("14:00", "pr-pt3", "DN", "BLUE8", "97110=15 97112=23"),
    Row("14:50", "pr-pt3", "DN", "ACME", "97140=16 97110=24"),
    Row("19:15", "pr-pt3", "DN", "BLUE8", "97110=25 97112=20", "after-midnight-utc"),
    # The assistant: whole visits, and lines that the therapist and the assistant share.
    Row("07:30", PTA, "DN", "MCR-B", "97110=0+24 97112=0+15"),
    Row("08:20", PTA, "DN", "MCR-B", "97110=15+15 97112=8+7"),
    Row("09:15", PTA, "DN", "BLUE8", "97110=0+30"),
    Row("09:55", PTA, "DN", "MCR-B", "97110=10+13 97140=15+0"),
    Row("10:45", PTA, "DN", "MCR-B", "97110=30+0 97140=0+15 G0283=15+0"),
    Row("13:00", PTA, "DN", "MCR-B", "97110=20+3 97112=0+8"),
    Row("13:45", PTA, "DN", "ACME", "97110=0+23 97112=0+15"),
    # Occupational therapy.
    Row("08:00", "pr-ot1", "IE", "MCR-B", "97165=40"),
    Row("08:50", "pr-ot1", "IE", "ACME", "97166=45 97535=10"),
    Row("09:55", "pr-ot1", "IE", "BLUE8", "97167=55"),
    Row("11:05", "pr-ot1", "DN", "MCR-B", "97530=23 97535=15"),
    Row("13:00", "pr-ot1", "DN", "ACME", "97530=30 97112=15"),
    Row("13:55", "pr-ot1", "DN", "BLUE8", "97110=18 97535=25"),
    Row("14:50", COTA, "DN", "MCR-B", "97530=0+30 97110=0+10"),
    Row("15:40", COTA, "DN", "MCR-B", "97535=15+10 97530=0+15"),
    # Speech-language pathology.
    Row("08:30", "pr-slp1", "IE", "ACME", "92523=60"),
    Row("09:40", "pr-slp1", "DN", "MCR-B", "92507=45"),
    Row("10:35", "pr-slp1", "DN", "BLUE8", "92507=40"),
    Row("11:25", "pr-slp1", "DN", "ACME", "92507=45"),
    # One patient twice on one day, one discipline: the minutes are one pool (20 + 18 = 38 -> 3 units, not 1 + 1).
    Row("12:15", "pr-pt2", "DN", "MCR-B", "97110=20", "same-day-first"),
    Row("17:40", "pr-pt2", "DN", "MCR-B", "97112=18", "same-day-second"),
    # A plan of care that ended four days ago: sent, with a warning.
    Row("14:50", "pr-slp1", "DN", "MCR-B", "92507=40", "plan-expired"),
    # A line entered in error: it is not billed, the visit is.
    Row("15:40", "pr-pt3", "DN", "ACME", "97110=23 97116=15!error 97140=10", "procedure-entered-in-error"),
    # What a person must look at.
    Row("16:30", "pr-pt3", "DN", "MCR-B", "97110=30 97140=10", "unsigned-note", "held"),
    Row("17:00", "pr-pt1", "DN", "ACME", "97110=24 KT-TAPE=10", "unknown-code", "held"),
    Row("17:20", "pr-pt3", "DN", "MCR-B", "97110 97140", "without-minutes", "held"),
    Row("16:30", "pr-ot1", "DN", "BLUE8", "97530=23x3 97535=15x1", "units-disagree", "held"),
    Row("13:45", "pr-slp1", "DN", "ACME", "92507=45", "missing-member-id", "held"),
    Row("12:00", "pr-pt4", "DN", "MCR-B", "97110=25 97112=15", "invalid-npi", "held"),
    # What is not billed.
    Row("08:00", "pr-pt3", "DN", "ACME", "", "cancelled", "excluded"),
    Row("16:00", "pr-slp1", "DN", "BLUE8", "", "no-show", "excluded"),
    Row("12:45", "pr-ot1", "DN", "MCR-B", "97530=23", "encounter-entered-in-error", "excluded"),
)
"""66 visits, in chart order: row n is `enc-000n`. The lines are in the notation of `plan.lines`."""


def encounter_id(position: int) -> str:
    """The Encounter id of the table's row `position` (from 0)."""
    return f"enc-{position + 1:04d}"


PLANTED: dict[str, str] = {row.problem: encounter_id(n) for n, row in enumerate(DAY) if row.problem}
"""What was planted on purpose -> the Encounter that carries it."""

FATES: dict[str, str] = {encounter_id(n): row.fate for n, row in enumerate(DAY)}
"""Encounter id -> where the visit must end: sent, held or excluded. For every visit of the day."""

_PLAN_AGES = {"plan-expired": 88, "plan-not-certified": 40}
"""Days since the plan began: 84 days is what it was made for, 30 what its certification may take."""

_STATUS = {
    "cancelled": ("cancelled", "cancelled"),
    "no-show": ("cancelled", "noshow"),
    "encounter-entered-in-error": ("entered-in-error", "entered-in-error"),
}


def plans(day: date, time_zone: ZoneInfo, random: Random) -> Iterator[VisitPlan]:
    """The table's visits on that day, one patient each but for the two visits that share one."""
    for position, row in enumerate(DAY):
        clinician, _, assistant = row.clinician.partition("/")
        discipline = next(person.credential for person in STAFF if person.id == clinician)
        status, appointment = _STATUS.get(row.problem, ("finished", "fulfilled"))
        start = datetime.combine(day, time.fromisoformat(row.at), tzinfo=time_zone)
        diagnoses = random.choice(DIAGNOSES[discipline])
        yield VisitPlan(
            id=encounter_id(position),
            patient_id=_patient_id(position),
            discipline=discipline,
            visit_type=row.visit_type,
            payer=row.payer,
            clinician=clinician,
            assistant=assistant or None,
            referring=random.choice(("pr-md1", "pr-md2")),
            lines=lines(row.documented),
            diagnoses=diagnoses if status == "finished" else (),
            start=fixed_offset(start),
            status=status,
            appointment=appointment,
            note=_note(row, status),
            authorization=f"AUTH-SBX-{position + 1:04d}" if row.payer == "ACME" else None,
            care=_care(row, day, position),
            in_utc=row.problem == "after-midnight-utc",
            shows_units=not row.problem.startswith("same-day"),
        )


def fixed_offset(moment: datetime) -> datetime:
    """The same moment with its offset frozen, so that adding minutes is plain arithmetic."""
    return moment.replace(tzinfo=timezone(moment.utcoffset() or timedelta(0)))


def _patient_id(position: int) -> str:
    if encounter_id(position) == PLANTED["same-day-second"]:
        position -= 1
    return f"pat-{position + 1:04d}"


def _care(row: Row, day: date, position: int) -> Care:
    """The plan of care: made at the evaluation, which is the visit itself or some weeks ago, and certified a week later."""
    ago = 0 if row.visit_type == "IE" else _PLAN_AGES.get(row.problem, 10 + position % 4 * 7)
    start = day - timedelta(days=ago)
    signed = ago and row.problem != "plan-not-certified"
    return Care(
        ordered_on=start - timedelta(days=5),
        start=start,
        end=start + timedelta(days=84),
        certified_on=start + timedelta(days=7) if signed else None,
    )


def _note(row: Row, status: str) -> str | None:
    if status != "finished":
        return None
    return "preliminary" if row.problem == "unsigned-note" else "final"
