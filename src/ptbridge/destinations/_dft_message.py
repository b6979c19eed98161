"""A priced treatment day as a DFT message (HL7 v2, chapter 6.4), written as the partner's interface profile says.

    MSH EVN PID PV1 [Z..]  { FT1 [PR1] [Z..] }  [{DG1}] [GT1] [{IN1}] [ACC]          P03
    MSH EVN PID PV1 [Z..]  [{DG1}] [GT1] [{IN1}] [ACC]  { FT1 [PR1] [Z..] }          P11, where the charges come last

No clock: MSH-7 and EVN-2 are the service date, the only date that is the message's own. MSH-10 is left empty here and becomes
the submission's key when the message leaves (`_dft_er7.stamped`). An absent fact is an empty field. What cannot be said
in the partner's terms is not guessed: the message is marked as withheld, with the reason, and never leaves.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from ptbridge.destinations._charge_document import agreed, charge_document, insurances
from ptbridge.destinations._dft_er7 import CR, Er7
from ptbridge.destinations._dft_guarantor import guarantor_fields, guarantors
from ptbridge.destinations._document import Document
from ptbridge.model import Charge, PricedDay
from ptbridge.model.money import decimal_text
from ptbridge.specs.clinic import BillingProviderSpec
from ptbridge.specs.interface_profile import InterfaceSpec
from ptbridge.wire.hl7_charset import codec_for

MEDIA_TYPE = "x-application/hl7-v2+er7"
_WITHHELD = "; withheld="
CHARGE = "CG"  # FT1-6, HL7 table 0017
_DIAGNOSIS_FINAL = "F"  # DG1-6, HL7 table 0052
ANCILLARY = ("DG1", "GT1", "IN1", "ACC")
_PHONE_UNFORMATTED = "2.6"  # withdrew XTN-1; XTN-12 holds the number as it is written

_ASKED = {"original": ("", ""), "enhanced": ("AL", "NE"), "deferred": ("AL", "AL")}  # MSH-15 and MSH-16, HL7 table 0155
_NUMBER_SIGNS = frozenset("0123456789 ().+-")
_SEX = {"male": "M", "female": "F", "other": "O", "unknown": "U"}  # HL7 table 0001
_RELATIONSHIP = {"self": "SEL", "spouse": "SPO", "child": "CHD", "other": "OTH"}  # HL7 table 0063


@dataclass(frozen=True, slots=True)
class Written:
    """The parts of one message. `withheld` is a machine-readable word when it must not leave, else empty."""

    head: tuple[str, ...]  # MSH EVN PID PV1 and the patient's Z segments
    charges: tuple[str, ...]
    ancillary: tuple[str, ...]  # DG1 GT1 IN1 ACC
    withheld: str = ""


def dft_bytes(written: Written, spec: InterfaceSpec, event: str) -> tuple[bytes, str]:
    """The message in the order of its event and in the partner's character set, and its media type."""
    last = (*written.ancillary, *written.charges) if event == "P11" else (*written.charges, *written.ancillary)
    segments = (*written.head, *last)
    return encoded(segments, codec_of(spec), written.withheld)


def encoded(segments: Sequence[str], codec: str, withheld: str) -> tuple[bytes, str]:
    """Segments as bytes. A character that the partner's set does not have is never replaced: the message is withheld."""
    for segment in segments if not withheld else ():
        try:
            segment.encode(codec)
        except UnicodeEncodeError:
            withheld = f"charset-{segment[:3]}"
            break
    text = "".join(segment + CR for segment in segments)
    return text.encode(codec, "backslashreplace"), withheld_as(withheld) if withheld else MEDIA_TYPE


def withheld_as(reason: str) -> str:
    """The media type of a message that must not leave; it is stored with the message, so the reason is too."""
    return f"{MEDIA_TYPE}{_WITHHELD}{reason}"


def withheld_reason(media_type: str) -> str:
    """Why a stored message must not leave; empty when it may."""
    return media_type.partition(_WITHHELD)[2]


def codec_of(spec: InterfaceSpec) -> str:
    """The Python codec of the profile's character set."""
    codec = codec_for(spec.message.charset)
    assert codec is not None, "the profile's character sets are a closed list"
    return codec


def transaction_ids(reference: str, charges: Sequence[Charge]) -> list[str]:
    """FT1-2 of each line: 12 characters (the field's length up to version 2.6), the same over corrections.

    Made from the treatment day, the documented line that the service line bills first, and its procedure: neither units nor
    modifiers nor the other lines change it. Two lines that agree in all of these are told apart by their order.
    """
    seen: Counter[tuple[str, str]] = Counter()
    found: list[str] = []
    for charge in charges:
        name = (charge.line.line_keys[0] if charge.line.line_keys else "", charge.line.procedure)
        seen[name] += 1
        digest = sha256("\n".join((reference, *name, str(seen[name]))).encode()).digest()
        found.append(base64.b32encode(digest)[:12].decode())
    return found


class DayWriter:
    """Writes one treatment day's segments. `event` is MSH-9.2."""

    def __init__(
        self, spec: InterfaceSpec, billing: BillingProviderSpec, priced: PricedDay, reference: str, event: str
    ) -> None:
        self._spec = spec
        self._event = event
        self._er7 = Er7(spec.message.separators, spaces=spec.message.escapes == "spaces")
        self._ids = transaction_ids(reference, priced.charges)
        self._day = charge_document(priced, billing, reference=reference, frequency="1", original_id=None)
        self._coverages = insurances(priced.day) if spec.insurances == "all" else [self._day.get("coverage")]
        self._priced = priced
        self._accident = agreed(priced.day, lambda visit: visit.accident)
        self._date = str(self._day.get("service_date", "")).replace("-", "")
        self._withheld = ""

    def write(self) -> Written:
        """Every part of the message."""
        assert self._date, "a day without a service date is held by an edit"
        charges = tuple(self._charges())
        return Written((*self._head(),), charges, tuple(self._ancillary()), self._withheld)

    # ------------------------------------------------------------ MSH EVN PID PV1

    def _head(self) -> Iterator[str]:
        yield self._header()
        yield self._er7.segment("EVN", {1: self._event, 2: self._date})
        yield self._er7.segment("PID", self._patient())
        yield self._er7.segment("PV1", self._visit())
        yield from self._z_segments("patient", {})

    def _header(self) -> str:
        message, text = self._spec.message, self._er7.text
        accept, application = _ASKED[self._spec.acknowledgement.mode]
        return self._er7.header(
            {
                3: text(message.sending_application),
                4: text(message.sending_facility),
                5: text(message.receiving_application),
                6: text(message.receiving_facility),
                7: self._date,
                9: self._er7.components("DFT", self._event, f"DFT_{self._event}"),
                11: message.processing_id,
                12: message.version,
                15: accept,
                16: application,
                18: text(message.charset),
            }
        )

    def _patient(self) -> dict[int, str]:
        patient, parts = self._day["patient"], self._er7.components
        ids = {"id": patient.get("id"), "mrn": patient.get("mrn"), "reference": self._day["reference"], "none": None}
        listed = [
            parts(ids[one.take], None, None, one.authority, one.type)
            for one in self._spec.patient.identifiers
            if ids[one.take] is not None
        ]
        return {
            1: "1",
            3: self._er7.repeats(listed),
            5: parts(patient.get("family"), patient.get("given")),
            7: str(patient.get("birth_date", "")).replace("-", ""),
            8: _SEX.get(patient.get("sex", ""), ""),
            11: self._address(patient.get("address", {})),
            13: self._phone(patient.get("phone")),
            18: self._er7.text(ids[self._spec.patient.account_number]),
        }

    def _address(self, address: Document) -> str:
        first, *others = address.get("lines") or [None]
        second = ", ".join(others) or None
        return self._er7.components(first, second, address.get("city"), address.get("state"), address.get("postal_code"))

    def _phone(self, phone: str | None) -> str:
        """XTN-1 takes numbers of one shape only; what does not fit stands in XTN-9, any text. From 2.6 on it is XTN-12."""
        if self._spec.message.version == _PHONE_UNFORMATTED:
            return self._er7.components(*[None] * 11, phone)
        number = _telephone_number(phone or "")
        return self._er7.components(number) if number else self._er7.components(*[None] * 8, phone)

    def _visit(self) -> dict[int, str]:
        return {
            1: "1",
            2: self._er7.text(self._spec.patient.patient_class),
            8: self._person(self._day.get("referring_provider")),
            19: self._er7.text(self._day["reference"]),
        }

    def _person(self, person: Document | None) -> str:
        """An XCN: the NPI with its authority and type, the name as given in one piece."""
        if not person:
            return ""
        npi = person.get("npi")
        name = person.get("name") if self._spec.charge.provider_names == "whole" else None
        return self._er7.components(npi, name, *[None] * 6, npi and "NPI", None, None, None, npi and "NPI")

    # ------------------------------------------------------------ FT1 PR1

    def _charges(self) -> Iterator[str]:
        for number, (line, line_id) in enumerate(zip(self._day["lines"], self._ids, strict=True), start=1):
            yield self._er7.segment("FT1", self._financial(number, line, line_id))
            if "PR1" in self._spec.segments:
                yield self._er7.segment("PR1", self._procedure(line))
            yield from self._z_segments("line", {**line, "line_number": number, "transaction_id": line_id})

    def _financial(self, number: int, line: Document, line_id: str) -> dict[int, str]:
        charge, place = self._spec.charge, self._day.get("place_of_service")
        location = {"FT1-16.1": (place,), "FT1-16.4": (None, None, None, place), "none": ()}[charge.place_of_service]
        return {
            1: str(number),
            2: line_id,
            4: self._date,
            6: CHARGE,
            7: self._transaction_code(line["procedure"]),
            10: str(line["units"]),
            11: self._money(line.get("amount_cents")),
            12: self._money(line.get("unit_price_cents")),
            16: self._er7.components(*location),
            19: self._line_diagnoses(line),
            20: self._person(line.get("rendering_provider") or self._day.get("rendering_provider")),
            21: self._person(line.get("referring_provider") or self._day.get("referring_provider")),
            25: self._code(line["procedure"]) if charge.procedure_field == "FT1-25" else "",
            26: self._modifiers(line["modifiers"]),
        }

    def _transaction_code(self, procedure: str) -> str:
        if self._spec.charge.transaction_code == "procedure":
            return self._code(procedure)
        code = self._spec.charge.charge_codes.get(procedure)
        if code is None:
            self._withheld = self._withheld or f"charge-code-{procedure}"
        return self._er7.text(code)

    def _code(self, procedure: str) -> str:
        return self._er7.components(procedure, None, self._spec.charge.procedure_system)

    def _modifiers(self, modifiers: Sequence[str]) -> str:
        if self._spec.charge.modifiers == "joined":
            return self._er7.text("".join(modifiers))
        return self._er7.repeats(map(self._er7.text, modifiers))

    def _line_diagnoses(self, line: Document) -> str:
        pointers = line["diagnosis_pointers"]
        match self._spec.charge.diagnoses:
            case "none":
                return ""
            case "pointers":
                return self._er7.repeats(map(str, pointers))
            case "codes":
                return self._er7.repeats(self._diagnosis(self._day["diagnoses"][pointer - 1]) for pointer in pointers)

    def _diagnosis(self, code: str) -> str:
        shown = code if self._spec.charge.diagnosis_dots == "kept" else code.replace(".", "")
        return self._er7.components(shown, None, self._spec.charge.diagnosis_system)

    def _money(self, amount_cents: int | None) -> str:
        if amount_cents is None:
            return ""
        currency = "USD" if self._spec.charge.amounts == "currency" else None
        return self._er7.money(decimal_text(amount_cents), currency)

    def _procedure(self, line: Document) -> dict[int, str]:
        """PR1-7 is the standard's own field for minutes."""
        return {
            1: "1",
            3: self._code(line["procedure"]),
            5: self._date,
            7: self._er7.text(line.get("minutes")),
            16: self._modifiers(line["modifiers"]),
        }

    # ------------------------------------------------------------ DG1 GT1 IN1 ACC

    def _ancillary(self) -> Iterator[str]:
        writers = {"DG1": self._diagnoses, "GT1": self._guarantor, "IN1": self._insurances, "ACC": self._of_accident}
        for name in ANCILLARY:
            if name in self._spec.segments:
                yield from (self._er7.segment(name, fields) for fields in writers[name]())

    def _diagnoses(self) -> Iterator[dict[int, str]]:
        for number, code in enumerate(self._day["diagnoses"], start=1):
            yield {1: str(number), 3: self._diagnosis(code), 6: _DIAGNOSIS_FINAL, 15: str(number)}

    def _guarantor(self) -> Iterator[dict[int, str]]:
        """Whom the source names; else, where it is so agreed, the patient whose own insurance it is. Nobody is guessed."""
        named = guarantors(self._priced.day)
        if len(named) == 1:
            yield guarantor_fields(named[0], self._er7, self._address, self._phone)
        if named or self._spec.guarantor == "source":
            return
        patient = self._day["patient"]
        if self._day.get("coverage", {}).get("relationship") != "self" or "family" not in patient:
            return
        insured = self._patient()
        relationship = self._er7.text(_RELATIONSHIP["self"])
        yield {1: "1", 3: insured[5], 5: insured[11], 6: insured[13], 8: insured[7], 9: insured[8], 11: relationship}

    def _insurances(self) -> Iterator[dict[int, str]]:
        """The day's primary coverage, or all of them as agreed; the authorization is the primary's."""
        for number, coverage in enumerate(filter(None, self._coverages), start=1):
            authorization = self._day.get("authorization") if number == 1 else None
            yield {1: str(number), **self._insurance(coverage), 14: self._er7.text(authorization)}

    def _insurance(self, coverage: Document) -> dict[int, str]:
        """A payer without an id at the source is known there by its name."""
        parts, text = self._er7.components, self._er7.text
        payer = coverage.get("payer_id") or coverage.get("payer_name")
        relationship = coverage.get("relationship")
        insured = self._insured(coverage)
        return {
            2: parts(payer, coverage.get("plan_name")),
            3: text(payer),
            4: text(coverage.get("payer_name")),
            8: text(coverage.get("group_number")),
            16: insured.get(5, ""),
            17: text(_RELATIONSHIP.get(relationship or "")),
            18: insured.get(7, ""),
            19: insured.get(11, ""),
            22: text(coverage.get("order")),
            36: text(coverage.get("member_id")),
            43: insured.get(8, ""),
        }

    def _insured(self, coverage: Document) -> dict[int, str]:
        """Name, birth date, sex and address as PID numbers them. Of the patient, whom PID tells whole, the first two."""
        if coverage.get("relationship") == "self":
            patient = self._patient()
            return {place: patient[place] for place in (5, 7)}
        other = coverage.get("subscriber", {})
        return {
            5: self._er7.components(other.get("family"), other.get("given")),
            7: str(other.get("birth_date", "")).replace("-", ""),
            8: _SEX.get(other.get("sex", ""), ""),
            11: self._address(other.get("address", {})),
        }

    def _of_accident(self) -> Iterator[dict[int, str]]:
        """Day, the biller's code for the kind, the state of an auto accident (table 0347), whether it was at work (0136)."""
        accident = self._accident
        if accident is None:
            return
        code = self._spec.accident_codes.get(accident.kind)
        if code is None:
            self._withheld = self._withheld or f"accident-code-{accident.kind}"
        yield {
            1: accident.on.isoformat().replace("-", "") if accident.on else "",
            2: self._er7.text(code),
            4: self._er7.text(accident.state if accident.kind == "auto" else None),
            5: "Y" if accident.kind == "employment" else "N",
        }

    # ------------------------------------------------------------ Z segments

    def _z_segments(self, follows: str, line: Document) -> Iterator[str]:
        words = self._words(line)
        for one in self._spec.z_segments:
            if one.follows == follows:
                yield self._er7.segment(one.segment, {place: words[word] for place, word in one.fields.items()})

    def _words(self, line: Document) -> dict[str, str]:
        """What a Z segment's field may hold, by the words of `interface_profile`; absent facts are empty."""
        day, billing = self._day, self._day["billing_provider"]
        people = {
            role: line.get(f"{role}_provider") or day.get(f"{role}_provider", {})
            for role in ("rendering", "supervising", "referring")
        }
        words = {
            **{name: day.get(name) for name in ("reference", "clinic", "discipline", "authorization", "place_of_service")},
            **{name: line.get(name) for name in ("line_number", "transaction_id", "minutes")},
            "supervising_npi": people["supervising"].get("npi"),
            "referring_npi": people["referring"].get("npi"),
            "rendering_credential": people["rendering"].get("credential"),
            "billing_npi": billing.get("npi"),
            "billing_tax_id": billing.get("tax_id"),
            "billing_taxonomy": billing.get("taxonomy"),
            "accident_claim_number": self._accident.claim_number if self._accident else None,
        }
        written = {name: self._er7.text(value) for name, value in words.items()}
        return {**written, "diagnosis_pointers": self._er7.repeats(map(str, line.get("diagnosis_pointers", ())))}


def _telephone_number(text: str) -> str:
    """`937.555.0100` as a TN, `(937)555-0100`; empty for what is no North American number."""
    digits = "".join(char for char in text if char in "0123456789")
    if not _NUMBER_SIGNS.issuperset(text) or len(digits) not in (7, 10, 11) or (len(digits) == 11 and digits[0] != "1"):
        return ""
    area = f"({digits[-10:-7]})" if len(digits) > 7 else ""
    return f"{area}{digits[-7:-4]}-{digits[-4:]}"
