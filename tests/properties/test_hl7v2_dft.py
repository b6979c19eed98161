"""What must hold for every message that we send: hl7apy's strict validation takes it, and it says what the day says."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ptbridge.destinations._dft_er7 import control_id_of, stamped
from ptbridge.destinations._dft_message import withheld_reason
from ptbridge.model import (
    Accident,
    Address,
    Charge,
    CodedDay,
    Coverage,
    Diagnosis,
    Discipline,
    Guarantor,
    Patient,
    PricedDay,
    Provider,
    ServiceLine,
    TreatmentDay,
    Visit,
)
from ptbridge.specs.interface_profile import load_interface, shipped_interfaces
from ptbridge.wire.hl7v2 import Message
from tests.rigs import BILLING, a_day, build
from tests.unit.destinations.profiles import profile

PROCEDURES = ("97110", "97112", "97140", "97161", "97530")  # those that the charge codes of charge_master_p11 name
VERSIONS = ("2.4", "2.5", "2.5.1", "2.6")
KEY = "0123456789abcdef0123456789abcdef01234567"

# hl7apy takes a second for a dozen messages: few examples, and no shrinking.
SLOW = {"deadline": None, "phases": (Phase.explicit, Phase.generate)}


def says_something(text: str) -> bool:
    return any(char.isalnum() for char in text)


# hl7apy reads text up to 199 characters; an escaped one grows.
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=20).filter(says_something)
plain_names = st.text(st.sampled_from("Abcéñ|^~\\&\"#' \r\n\x0b\x1c-"), min_size=1, max_size=20).filter(says_something)
dates = st.dates(date(1930, 1, 1), date(2030, 12, 31))


def optional(values):
    return st.none() | values


SECOND = Coverage(id="c2", order=2, payer_id="60054", payer_name="Aetna", member_id="W1", relationship="self")
THIRD = Coverage(id="c3", payer_name="Union Fund", member_id="W2")
ACCIDENTS = (
    Accident(kind="employment", on=date(2026, 2, 14), claim_number="C-1"),
    Accident(kind="auto", on=date(2026, 2, 14), state="OH"),
    Accident(kind="other"),
)
ALL_OF_IT = {
    "segments: [PR1, DG1, GT1, IN1]": "segments: [PR1, DG1, GT1, IN1, ACC]\ninsurances: all\naccident_codes: "
    "{employment: EM, auto: AA, other: OA}",
    "z_segments: []": "z_segments: [{segment: ZAC, follows: patient, fields: {1: accident_claim_number}}]",
}


@st.composite
def days(draw, text=names):
    """A priced day that the edits could let through; what may be absent sometimes is."""
    diagnoses = draw(
        st.lists(st.sampled_from(("M54.50", "M25.561", "S83.511A", "R26.89")), min_size=1, max_size=4, unique=True)
    )
    visits = tuple(draw(visit(text, f"e{number}")) for number in range(draw(st.integers(1, 2))))
    charges = tuple(draw(st.lists(charge(len(diagnoses)), min_size=1, max_size=5)))
    day = TreatmentDay(
        clinic="oak",
        key="k",
        patient_id="p",
        discipline=draw(optional(st.sampled_from(Discipline))),
        service_date=draw(dates),
        billing_npi=BILLING.npi,
        visits=visits,
    )
    coded = CodedDay(
        day=day,
        payer="medicare_part_b",
        lines=tuple(one.line for one in charges),
        diagnoses=tuple(Diagnosis(code=code) for code in diagnoses),
    )
    return PricedDay(coded=coded, charges=charges)


@st.composite
def visit(draw, text, visit_id):
    people = optional(st.builds(Provider, npi=optional(st.just("1558395210")), name=optional(text), credential=st.just("PT")))
    patient = Patient(
        id=draw(text),
        mrn=draw(text),
        family=draw(text),
        given=draw(text),
        birth_date=draw(optional(dates)),
        sex=draw(optional(st.sampled_from(("male", "female", "other", "unknown")))),
        address=draw(
            optional(
                st.builds(
                    Address,
                    lines=st.lists(text, max_size=3).map(tuple),
                    city=optional(text),
                    state=optional(st.just("OH")),
                    postal_code=optional(st.just("45501")),
                )
            )
        ),
        phone=draw(optional(text)),
    )
    coverage = Coverage(
        id="c1",
        order=1,
        payer_id=draw(optional(text)),
        payer_name=draw(text),
        plan_name=draw(optional(text)),
        member_id=draw(optional(text)),
        group_number=draw(optional(text)),
        relationship=draw(optional(st.sampled_from(("self", "spouse", "child", "other")))),
    )
    return Visit(
        clinic="oak",
        source="emr",
        visit_id=visit_id,
        patient=patient,
        guarantor=draw(optional(guarantors(text))),
        coverages=(coverage, *draw(st.sampled_from(((), (SECOND,), (THIRD, SECOND))))),
        accident=draw(optional(st.sampled_from(ACCIDENTS))),
        rendering=draw(people),
        supervising=draw(people),
        referring=draw(people),
        place_of_service=draw(optional(st.just("11"))),
        authorization_number=draw(optional(text)),
    )


def guarantors(text):
    return st.builds(
        Guarantor,
        family=text,
        given=optional(text),
        birth_date=optional(dates),
        sex=optional(st.sampled_from(("male", "female"))),
        address=optional(st.builds(Address, lines=st.lists(text, max_size=2).map(tuple), city=optional(text))),
        phone=optional(text),
        relationship=optional(st.sampled_from(("self", "spouse", "parent", "guardian", "other"))),
    )


@st.composite
def charge(draw, diagnoses):
    units = draw(st.integers(1, 12))
    price = draw(optional(st.integers(1, 99_999)))
    line = ServiceLine(
        procedure=draw(st.sampled_from(PROCEDURES)),
        modifiers=tuple(draw(st.lists(st.sampled_from(("GP", "CQ", "KX", "59")), max_size=4, unique=True))),
        units=units,
        minutes=draw(optional(st.integers(1, 120))),
        diagnosis_pointers=tuple(draw(st.lists(st.integers(1, diagnoses), max_size=4, unique=True))),
        line_keys=(f"e0/{draw(st.integers(1, 3))}",),
    )
    amount = None if price is None else price * units
    return Charge(line=line, payer="medicare_part_b", unit_price_cents=price, amount_cents=amount)


def destination(file: str):
    return build("hl7v2_dft", {"profile": file}, folder=Path("nowhere"))


def all_messages(platform, day: PricedDay, later: PricedDay):
    """An original, a correction of it, and the void of the original: as they leave, with their withheld reasons."""
    original = platform.encode(day, reference="pt-0123456789abcdef01234567", frequency="1", original_id=None)
    corrected = platform.encode_replacement(later, original[0], reference="pt-0123456789abcdef01234567", original_id=None)
    taken_back = platform.encode_void(original[0], reference="pt-0123456789abcdef01234567", original_id=None)
    for body, media_type in (original, corrected, taken_back):
        yield stamped(body, control_id_of(KEY)), withheld_reason(media_type)


def validated(raw: bytes, charset: str) -> None:
    message = parse_message(raw.decode(charset), validation_level=VALIDATION_LEVEL.STRICT)
    assert message.validate()


@pytest.mark.parametrize("name", shipped_interfaces())
@settings(max_examples=6, **SLOW)
@given(day=days(plain_names), later=days(plain_names))
def test_every_message_passes_strict_validation(name, day, later):
    platform = destination(name)
    for raw, withheld in all_messages(platform, day, later):
        charset = {"full_day": "ascii", "charge_master_p11": "latin-1"}.get(name, "utf-8")
        assert not withheld or (name == "full_day" and withheld.startswith("charset-"))
        validated(raw, charset)


@pytest.mark.parametrize("version", VERSIONS)
@settings(max_examples=3, **SLOW)
@given(day=days(), later=days())
def test_every_version_passes_strict_validation(version, day, later, tmp_path_factory):
    changes = {'version: "2.5.1"': f'version: "{version}"', "credit_event: P03": "credit_event: P11", **ALL_OF_IT}
    file = profile(tmp_path_factory.mktemp("p"), changes)
    for raw, withheld in all_messages(destination(file), day, later):
        assert not withheld
        validated(raw, "utf-8")


def test_the_oldest_version_passes_strict_validation(tmp_path):
    changes = {'version: "2.5.1"': 'version: "2.3.1"', **ALL_OF_IT, "segments: [PR1, DG1": "segments: [DG1"}
    for raw, _ in all_messages(destination(profile(tmp_path, changes)), a_day(), a_day(4)):
        validated(raw, "utf-8")


def test_validation_would_notice(tmp_path):
    (raw, _), *_ = all_messages(destination("sandbox_biller"), a_day(), a_day())
    for damage in ((b"|CG|", b"||"), (b"|20261102|", b"|2026-11-02|"), (b"PID|1|", b"PIX|1|"), (b"FT1|1|", b"FT1|one|")):
        assert damage[0] in raw
        with pytest.raises(Exception, match=r".+"):
            validated(raw.replace(*damage), "utf-8")


@settings(max_examples=40, deadline=None)
@given(day=days())
def test_every_insurance_and_the_accident_stand_in_the_message_where_that_is_agreed(day, tmp_path_factory):
    platform = destination(profile(tmp_path_factory.mktemp("p"), ALL_OF_IT))
    (raw, withheld), *_ = all_messages(platform, day, day)
    message = Message.parse(raw)
    distinct = {one.id: one for visit in day.day.visits for one in visit.coverages}
    assert not withheld and len(message.segments("IN1")) == len(distinct)
    assert message.get_all("IN1[*]-22") == (("1", "2") if "c2" in distinct else ("1",))
    assert len(message.get_all("IN1[*]-14")) <= 1
    accidents = {visit.accident for visit in day.day.visits if visit.accident}
    assert len(message.segments("ACC")) == (len(accidents) == 1)
    for one in accidents if len(accidents) == 1 else ():
        assert message.get("ACC-1") == (one.on and f"{one.on:%Y%m%d}") and message.get("ACC-4.1") == one.state
        assert message.get("ACC-2.1") == {"employment": "EM", "auto": "AA", "other": "OA"}[one.kind]
        assert message.get("ACC-5") == ("Y" if one.kind == "employment" else "N")
        assert message.get("ZAC-1") == one.claim_number


@settings(max_examples=60, deadline=None)
@given(day=days())
def test_a_message_says_what_the_day_says(day):
    """Read back by our own tokenizer, which shares no code with the writer."""
    (raw, withheld), *_ = all_messages(destination("sandbox_biller"), day, day)
    message, patient = Message.parse(raw), day.day.patient
    assert not withheld and message.control_id == KEY[:20] and len(message.segments("FT1")) == len(day.charges)
    coverage = day.day.visits[0].coverages[0]
    for path, value in {
        "PID-3[1].1": patient.mrn,
        "PID-3[2].1": patient.id,
        "PID-5.1": patient.family,
        "PID-5.2": patient.given,
        "PV1-19": "pt-0123456789abcdef01234567",
        "MSH-7": f"{day.day.service_date:%Y%m%d}",
    }.items():
        assert message.get(path) == value, path
    if len({one.coverages[0].payer_id or one.coverages[0].payer_name for one in day.day.visits}) == 1:
        assert message.get("IN1-3.1") == (coverage.payer_id or coverage.payer_name)
    codes = [diagnosis.code for diagnosis in day.coded.diagnoses]
    assert message.get_all("DG1[*]-3.1") == tuple(codes)
    for number, charge in enumerate(day.charges, start=1):
        line, at = charge.line, f"FT1[{number}]"
        assert message.get(f"{at}-7.1") == message.get(f"{at}-25.1") == line.procedure
        assert message.get_all(f"{at}-26[*].1") == line.modifiers
        assert int(message.get(f"{at}-10")) == line.units
        assert message.get_all(f"{at}-19[*].1") == tuple(codes[pointer - 1] for pointer in line.diagnosis_pointers)
        amount = message.get(f"{at}-11.1")
        assert (None if amount is None else round(float(amount) * 100)) == charge.amount_cents
        minutes = message.get(f"PR1[{number}]-7")
        assert (None if minutes is None else int(minutes)) == line.minutes
    ids = message.get_all("FT1[*]-2")
    assert len(set(ids)) == len(day.charges)


@settings(max_examples=40, deadline=None)
@given(day=days())
def test_units_never_change_a_transaction_id(day):
    platform = destination("sandbox_biller")

    def ids(one):
        body, _ = platform.encode(one, reference="pt-1", frequency="1", original_id=None)
        return Message.parse(body).get_all("FT1[*]-2")

    others = replace(day, charges=tuple(replace(one, line=replace(one.line, units=99)) for one in day.charges))
    assert ids(day) == ids(others)


@pytest.mark.parametrize("name", shipped_interfaces())
def test_the_samples_of_a_shipped_profile_pass_strict_validation(name):
    spec = load_interface(name).spec
    for segments in filter(None, (spec.sample, spec.sample_void, spec.sample_correction)):
        validated("".join(f"{one}\r" for one in segments).encode(), "utf-8")
