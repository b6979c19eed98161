"""An interface profile: what a clinic and a biller agreed about HL7 v2 charge messages, as one YAML file.

    interface: acme_billing          # the file's name
    revision: "2026-11-21"           # changed whenever anything below changes
    corrections: credit_and_charge   # what a correction looks like
    sample: ["MSH|^~\\\\&|…", …]       # the sample day as this agreement writes it, segment by segment

What decides about money has no default: a key that is missing is an error with file and line. The sample is compared with
what ptbridge writes each time the profile is used, so the agreement and the messages cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from ptbridge.errors import ConfigError
from ptbridge.specs.type_check import Problem
from ptbridge.specs.yaml_text import Document, convert, load

# 2.3 has no FT1-26; 2.7 wants an identifier type (CX-5) for FT1-2 and IN1-3 that the tables do not give.
Version = Literal["2.3.1", "2.4", "2.5", "2.5.1", "2.6"]
Answer = Literal["rejected", "retry"]

# What a Z segment's field may hold: words for the whole message, and words that only a line has.
MESSAGE_WORDS = (
    "reference",
    "clinic",
    "discipline",
    "authorization",
    "place_of_service",
    "supervising_npi",
    "referring_npi",
    "billing_npi",
    "billing_tax_id",
    "billing_taxonomy",
    "accident_claim_number",
)
ACCIDENTS = ("employment", "auto", "other")
LINE_WORDS = ("line_number", "transaction_id", "minutes", "rendering_credential", "diagnosis_pointers")


class MessageSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """The envelope: MSH, separators, characters."""

    version: Version
    separators: str  # MSH-1 and MSH-2, such as |^~\&
    charset: Literal["ASCII", "8859/1", "8859/15", "UNICODE UTF-8"]  # MSH-18, HL7 table 0211
    escapes: Literal["standard", "spaces"]  # spaces: for a receiver that does not decode escapes; a separator becomes a blank
    processing_id: Literal["P", "T", "D"]  # MSH-11
    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str


class IdentifierSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """One repetition of PID-3; left out when the patient has no such id."""

    take: Literal["mrn", "id"]
    authority: str
    type: str  # PID-3.5, HL7 table 0203


class PatientSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """PID and PV1."""

    identifiers: tuple[IdentifierSpec, ...]
    account_number: Literal["mrn", "id", "reference", "none"]  # PID-18
    patient_class: str  # PV1-2, HL7 table 0004


class ChargeSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """FT1 and PR1: where a service line's facts stand."""

    transaction_code: Literal["procedure", "charge_codes"]  # FT1-7
    charge_codes: dict[str, str] = {}  # procedure -> the biller's own charge code; a procedure that is not here is held
    procedure_field: Literal["FT1-25", "none"]
    modifiers: Literal["repeats", "joined"]  # FT1-26: GP~CQ, or GPCQ for a receiver that reads one repetition
    procedure_system: str  # FT1-7.3 and FT1-25.3, HL7 table 0396, such as C4
    diagnoses: Literal["codes", "pointers", "none"]  # FT1-19
    diagnosis_system: str  # such as I10
    diagnosis_dots: Literal["kept", "dropped"]
    amounts: Literal["currency", "plain"]  # 60.00&USD or 60.00
    place_of_service: Literal["FT1-16.1", "FT1-16.4", "none"]
    provider_names: Literal["whole", "none"]  # XCN-2: the name as the EMR gives it in one piece, never split by us


class ZSegmentSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A segment of the partners' own: `fields` says which word stands in which field."""

    segment: str
    follows: Literal["line", "patient"]  # each FT1 (and its PR1), or PV1
    fields: dict[int, str]


class CreditSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """How a line that takes back a charge differs from the charge; FT1-2 is always the original's."""

    type: str  # FT1-6, HL7 table 0017: CD; CR is seen too
    amounts: Literal["positive", "negative"]  # FT1-10 and FT1-11 of a credit


class AcknowledgementSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """What the biller answers. AA (CA) is accepted only when MSA-2 is the id that was sent."""

    # original: MSA-1 AA AE AR. enhanced: MSH-15 AL, MSH-16 NE, and MSA-1 CA CE CR. deferred: MSH-15 and MSH-16 AL, CA CE CR
    # on our connection, and the application's AA AE AR later over one that the biller opens to `ptbridge listen`.
    mode: Literal["original", "enhanced", "deferred"]
    error: Answer  # AE, CE
    reject: Answer  # AR, CR
    timeout_seconds: float
    application_hours: float = 0  # of mode deferred: how long the application's answer may take until a person is asked
    resend_safe_days: int  # how long a charge sent again with the same FT1-2 and MSH-10 is surely not booked twice; 0: never


class InterfaceSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """The whole agreement."""

    interface: str
    revision: str
    title: str
    standing: Literal["agreed", "starting_point"]
    message: MessageSpec
    patient: PatientSpec
    charge: ChargeSpec
    segments: tuple[Literal["PR1", "DG1", "GT1", "IN1", "ACC"], ...]  # which optional segments are sent
    # GT1: whom the source names; else nobody, or the patient where the source says that the insurance is the patient's own
    guarantor: Literal["source", "source_or_patient"] = "source"
    insurances: Literal["primary", "all"] = "primary"  # all: an IN1 for each coverage, its priority in IN1-22
    accident_codes: dict[str, str] = {}  # employment, auto, other -> what the biller wants in ACC-2 (table 0050 is its own)
    z_segments: tuple[ZSegmentSpec, ...] = ()
    corrections: Literal["credit_and_charge", "snapshot", "hold"]
    voids: Literal["credit", "hold"]
    credit_event: Literal["P03", "P11"]  # MSH-9.2 of a message with credits
    credit: CreditSpec
    acknowledgement: AcknowledgementSpec
    connections: int = 1
    file_envelope: Literal["batch", "none"] = "batch"  # FHS BHS … BTS FTS around the messages of a file
    sample: tuple[str, ...]
    sample_void: tuple[str, ...] = ()
    sample_correction: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interface:
    """A profile as read, and where its keys stand in the file."""

    spec: InterfaceSpec
    document: Document

    @property
    def label(self) -> str:
        """Name and revision, for a person: `acme_billing (2026-11-21)`."""
        return f"{self.spec.interface} ({self.spec.revision})"


def shipped_interfaces() -> list[str]:
    """The names of the profiles that ship with ptbridge."""
    return sorted(path.stem for path in _shipped_folder().glob("*.yaml"))


def load_interface(name: str) -> Interface:
    """A profile by its file (`…/acme_billing.yaml`) or by the name of a shipped one. Raises ConfigError with every problem."""
    path = Path(name)
    if not name.endswith((".yaml", ".yml")):
        path = _shipped_folder() / f"{name}.yaml"
        if name not in shipped_interfaces():
            known = ", ".join(shipped_interfaces())
            raise ConfigError(
                f"there is no interface profile {name!r}. Shipped ones: {known}; a file of your own ends in .yaml.",
                where="destination.options.profile",
            )
    document = load(path)
    spec = convert(document, InterfaceSpec)
    found = list(_problems(spec, path.stem))
    if found:
        raise document.refuse(found)
    return Interface(spec, document)


def _shipped_folder() -> Path:
    return Path(str(resources.files("ptbridge_mappings"))) / "interfaces"


# ---------------------------------------------------------------- what the types cannot say


def _problems(spec: InterfaceSpec, stem: str) -> Iterator[Problem]:
    if spec.interface != stem:
        text = f"interface: {spec.interface!r} differs from the file's name. Rename the file to {spec.interface}.yaml, or this."
        yield Problem(("interface",), text)
    yield from _separator_problems(spec.message.separators)
    yield from _code_problems(spec.charge)
    yield from _agreement_problems(spec)
    for index, one in enumerate(spec.z_segments):
        yield from _z_problems(index, one)
    yield from _number_problems(spec)


def _separator_problems(text: str) -> Iterator[Problem]:
    """All five are needed: without an escape character a name with a separator in it could not be written."""
    odd = any(not char.isascii() or not char.isprintable() or char.isalnum() or char in " .-" for char in text)
    if len(text) not in (5, 6) or len(set(text)) != len(text) or odd:
        what = f"message.separators: {text!r} is not a set of 5 or 6 different signs. Write it as '|^~\\&'."
        yield Problem(("message", "separators"), what)


def _code_problems(charge: ChargeSpec) -> Iterator[Problem]:
    key = ("charge", "charge_codes")
    if charge.transaction_code == "charge_codes" and not charge.charge_codes:
        yield Problem(key, "charge.charge_codes: transaction_code asks for it and it is empty. List procedure: charge code.")
    if charge.transaction_code == "procedure" and charge.charge_codes:
        yield Problem(key, "charge.charge_codes: is not used while transaction_code is procedure. Remove one of the two.")
    if charge.transaction_code == "charge_codes" and charge.procedure_field == "none":
        text = "charge.procedure_field: none while FT1-7 holds charge codes, so no field names the procedure. Write FT1-25."
        yield Problem(("charge", "procedure_field"), text)


def _agreement_problems(spec: InterfaceSpec) -> Iterator[Problem]:
    if spec.credit_event == "P11" and spec.message.version == "2.3.1":
        yield Problem(("credit_event",), "credit_event: P11 exists from version 2.4 on. Write P03, or raise message.version.")
    if "PR1" in spec.segments and spec.message.version == "2.3.1":
        text = "segments: PR1-6 is required in version 2.3.1, and no record says it. Remove PR1, or raise message.version."
        yield Problem(("segments",), text)
    if spec.charge.diagnoses == "pointers" and "DG1" not in spec.segments:
        yield Problem(("segments",), "segments: FT1-19 holds pointers, and there is no DG1 to point to. Add DG1.")
    if "ACC" in spec.segments and set(spec.accident_codes) != set(ACCIDENTS):
        text = f"accident_codes: ACC is sent, so give the biller's code (ACC-2) for each of {', '.join(ACCIDENTS)}, no other."
        yield Problem(("accident_codes",), text)
    if spec.guarantor != "source" and "GT1" not in spec.segments:
        yield Problem(("guarantor",), f"guarantor: {spec.guarantor}, and GT1 is not sent. Add GT1 to segments.")
    if spec.insurances == "all" and "IN1" not in spec.segments:
        yield Problem(("insurances",), "insurances: all, and IN1 is not sent. Add IN1 to segments.")
    if spec.corrections == "credit_and_charge" and spec.voids == "hold":
        text = "voids: hold while corrections are made with credits. Write credit, or hold both."
        yield Problem(("voids",), text)
    if spec.credit.type == "CG":
        yield Problem(("credit", "type"), "credit.type: CG is a charge (HL7 table 0017). Write CD, or what the biller takes.")
    if spec.voids == "credit" and not spec.sample_void:
        yield Problem(("sample_void",), "sample_void: is missing; voids are agreed. Add the sample day's void.")
    if spec.corrections == "credit_and_charge" and not spec.sample_correction:
        text = "sample_correction: is missing; corrections are agreed. Add the sample day's correction."
        yield Problem(("sample_correction",), text)


def _z_problems(index: int, one: ZSegmentSpec) -> Iterator[Problem]:
    key = ("z_segments", index)
    if not (len(one.segment) == 3 and one.segment[0] == "Z" and one.segment.isalnum() and one.segment.isupper()):
        yield Problem((*key, "segment"), f"z_segments[{index}].segment: {one.segment!r} is not a Z segment. Write it as ZPT.")
    known = MESSAGE_WORDS + (LINE_WORDS if one.follows == "line" else ())
    for position, word in one.fields.items():
        where = (*key, "fields", str(position))
        if not 1 <= position <= 99:
            yield Problem(where, f"z_segments[{index}].fields: {position} is not a field number. Use 1 to 99.")
        if word not in known:
            text = f"z_segments[{index}].fields: {word!r} is not known here. Known words: {', '.join(known)}."
            yield Problem(where, text)


def _number_problems(spec: InterfaceSpec) -> Iterator[Problem]:
    answer = spec.acknowledgement
    if not 0.1 <= answer.timeout_seconds <= 300:
        text = f"acknowledgement.timeout_seconds: {answer.timeout_seconds:g} is not between 0.1 and 300."
        yield Problem(("acknowledgement", "timeout_seconds"), text)
    key = ("acknowledgement", "application_hours")
    if answer.mode == "deferred" and not 0 < answer.application_hours <= 24 * 60:
        text = (
            "acknowledgement.application_hours: mode deferred needs it. Write how long the biller's application may take: 24."
        )
        yield Problem(key, text)
    if answer.mode != "deferred" and answer.application_hours:
        yield Problem(key, "acknowledgement.application_hours: is used in mode deferred only. Remove it, or write that mode.")
    if answer.resend_safe_days < 0:
        yield Problem(("acknowledgement", "resend_safe_days"), "acknowledgement.resend_safe_days: below 0. Write 0 for never.")
    if not 1 <= spec.connections <= 32:
        yield Problem(("connections",), f"connections: {spec.connections} is not between 1 and 32.")
