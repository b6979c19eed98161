"""A Visit: one patient, one discipline, one encounter, in our words."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from ptbridge.model.finding import Finding
from ptbridge.model.made_fast import made_fast
from ptbridge.model.people import Coverage, Guarantor, Patient, Provider


class Discipline(StrEnum):
    """The three outpatient therapy disciplines (modifiers GP, GO, GN)."""

    PT = "PT"
    OT = "OT"
    SLP = "SLP"


class VisitStatus(StrEnum):
    """Where the visit stands at the source. Only `FINISHED` can bill."""

    PLANNED = "planned"
    IN_PROGRESS = "in-progress"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    NO_SHOW = "no-show"
    ENTERED_IN_ERROR = "entered-in-error"
    UNKNOWN = "unknown"


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """A diagnosis in billing order. `code` is ICD-10-CM with its dot, as documented."""

    code: str
    system: str | None = None
    rank: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOfCare:
    """The plan that the visit was under (CMS Pub. 100-02, ch. 15, section 220.1). Dates are civil days."""

    start: date | None = None
    end: date | None = None
    certified_on: date | None = None  # the physician's or NPP's dated signature
    order_signed_on: date | None = None  # a signed and dated order or referral on file (42 CFR 424.24, exception of 2025)
    sent_on: date | None = None  # when the plan was sent to the physician or NPP


@dataclass(frozen=True, slots=True, kw_only=True)
class Accident:
    """What workers' compensation and auto payers ask for (X12 CLM11, DTP*439, REF*Y4)."""

    kind: str  # employment, auto, other
    on: date | None = None
    state: str | None = None
    claim_number: str | None = field(default=None, repr=False)


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Intervention:
    """What the therapist recorded: one documented line. Minutes and units are separate facts and never derived here.

    `line_key` is unique inside its visit and survives edits at the source. `documented` is the source's own word for the
    service (`system|code` or text). `code` is the procedure code, or None when the mapping knows no code for that word.
    `therapist_minutes` and `assistant_minutes`, where the source splits them, add up to `minutes`.
    """

    line_key: str
    documented: str
    code: str | None = None
    minutes: int | None = None
    therapist_minutes: int | None = None
    assistant_minutes: int | None = None
    by_assistant: bool | None = None
    units_documented: int | None = None
    modifiers: tuple[str, ...] = ()
    diagnosis_codes: tuple[str, ...] = ()
    sequence: int = 0
    start: datetime | None = None  # when it began and ended, where the source says so for this line alone
    end: datetime | None = None
    reason: str | None = field(default=None, repr=False)  # why a re-evaluation was done, in the source's words; None: not said
    not_done: bool = False
    not_billable: str = ""  # `file:line` of the mapping entry that says so; such a line has no code
    minutes_source: str = ""  # the path that gave the minutes
    units_source: str = ""


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One encounter, normalized. `service_date` is the civil day at the clinic. Absent facts are None, never a default.

    `findings` carry what the mapping could not read or resolve (codes MP..).
    """

    clinic: str
    source: str
    visit_id: str
    version: str = ""
    status: VisitStatus = VisitStatus.UNKNOWN
    service_date: date | None = None
    started_at: datetime | None = None  # orders the visits of a day; the service date does not come from here
    discipline: Discipline | None = None
    visit_type: str | None = None  # our words: evaluation, re-evaluation, daily, progress, discharge
    patient: Patient = field(repr=False)
    coverages: tuple[Coverage, ...] = ()
    guarantor: Guarantor | None = field(default=None, repr=False)
    rendering: Provider | None = None
    assistant: Provider | None = None
    supervising: Provider | None = None
    referring: Provider | None = None
    diagnoses: tuple[Diagnosis, ...] = ()
    place_of_service: str | None = None
    note_signed: bool | None = None
    note_signed_at: datetime | None = None
    timed_minutes_total: int | None = None
    treatment_minutes_total: int | None = None
    authorization_number: str | None = field(default=None, repr=False)
    cosigned: bool | None = None  # None: the source says nothing about a co-signature
    episode_id: str | None = field(default=None, repr=False)
    plan_of_care: PlanOfCare | None = None
    referral_on: date | None = None
    accident: Accident | None = None
    abn_signed_on: date | None = None
    telehealth: str | None = None  # video, audio; None: in person or not said
    billing: str | None = None  # our words: cash, maintenance, no-charge; None: the source says nothing of it
    interventions: tuple[Intervention, ...] = ()
    findings: tuple[Finding, ...] = ()
