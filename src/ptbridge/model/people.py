"""The people and plans on a visit. Every field that identifies a patient stays out of repr."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from ptbridge.model.made_fast import made_fast


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A postal address (X12 N3/N4)."""

    lines: tuple[str, ...] = field(default=(), repr=False)
    city: str | None = field(default=None, repr=False)
    state: str | None = None
    postal_code: str | None = field(default=None, repr=False)


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """The person treated. `id` is the source's id; `replaced_by` is set when the source merged this record away."""

    id: str = field(repr=False)
    mrn: str | None = field(default=None, repr=False)
    family: str | None = field(default=None, repr=False)
    given: str | None = field(default=None, repr=False)
    birth_date: date | None = field(default=None, repr=False)
    sex: str | None = field(default=None, repr=False)  # FHIR administrative gender: male, female, other, unknown
    address: Address | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    replaced_by: str | None = field(default=None, repr=False)


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """Whose insurance it is, where that is another person than the patient (X12 2010BA, HL7 v2 IN1-16)."""

    family: str | None = field(default=None, repr=False)
    given: str | None = field(default=None, repr=False)
    birth_date: date | None = field(default=None, repr=False)
    sex: str | None = field(default=None, repr=False)  # as Patient.sex
    address: Address | None = field(default=None, repr=False)


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantor:
    """Who answers for what no insurance pays, where the source names somebody (HL7 v2 GT1, FHIR Account.guarantor)."""

    family: str | None = field(default=None, repr=False)
    given: str | None = field(default=None, repr=False)
    birth_date: date | None = field(default=None, repr=False)
    sex: str | None = field(default=None, repr=False)  # as Patient.sex
    address: Address | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    relationship: str | None = None  # what the guarantor is to the patient: self, spouse, parent, guardian, other


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """One insurance of the patient. `order` 1 is primary; None when the source does not say.

    `subscriber` is None when the patient is the subscriber, and when the source says nothing of the subscriber.
    """

    id: str = field(default="", repr=False)
    order: int | None = None
    status: str | None = None
    payer_id: str | None = None  # the payer's id at the source, before any crosswalk
    payer_name: str | None = None
    plan_name: str | None = None
    member_id: str | None = field(default=None, repr=False)
    group_number: str | None = field(default=None, repr=False)
    relationship: str | None = None  # patient to subscriber: self, spouse, child, other
    period_start: date | None = None
    period_end: date | None = None
    subscriber: Subscriber | None = field(default=None, repr=False)


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A clinician. `credential` is upper case without dots: PT, PTA, OT, OTA, SLP, MD …"""

    id: str = ""
    npi: str | None = None
    name: str | None = None
    credential: str | None = None
    taxonomy: str | None = None

    @property
    def is_assistant(self) -> bool:
        """True for a PTA, OTA or COTA (42 CFR 410.59, 410.60: their services carry CO or CQ)."""
        return self.credential in ASSISTANT_CREDENTIALS


ASSISTANT_CREDENTIALS = frozenset({"PTA", "OTA", "COTA", "LPTA"})
