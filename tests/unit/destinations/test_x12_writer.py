"""The 837P writer: what three judges say of its files, how days are split, and everything that it refuses to write."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest

from ptbridge.destinations import _x12_tables
from ptbridge.destinations._x12_claim import DayClaims, line_control_number, patient_control_number
from ptbridge.destinations._x12_correction import sendable
from ptbridge.destinations._x12_text import SPELLED, Problem, amount, diagnosis, npi, person, spelled
from ptbridge.errors import ConfigError
from ptbridge.model import Accident, Address, Charge, Diagnosis, Disposition, PricedDay, Provider, ServiceLine
from ptbridge.specs.clinic import NO_CLAIMS, AddressSpec
from tests.rigs import BILLING, CLAIMS, a_day, build, submission
from tests.rigs.x12_837p import OPTIONS
from tests.x12_judges import complaints

REFERENCE = "pt-0123456789abcdef01234567"
NOON = datetime(2026, 11, 3, 17, 0, tzinfo=UTC)


def destination(folder: Path = Path("unused"), billing=BILLING, claims=CLAIMS, **options: str):
    made = build("x12_837p", {**OPTIONS, **options}, folder=folder, billing=billing, claims=claims)
    made._clock = lambda: NOON
    return made


def day_of(lines, *, diagnoses=("M54.50",), visits=None) -> PricedDay:
    """A day with these service lines at 30 dollars a unit."""
    day = a_day()
    if visits is not None:
        day = replace(day, coded=replace(day.coded, day=replace(day.day, visits=visits)))
    charges = tuple(
        Charge(line=line, payer="medicare_part_b", unit_price_cents=3000, amount_cents=3000 * line.units) for line in lines
    )
    coded = replace(day.coded, lines=tuple(lines), diagnoses=tuple(Diagnosis(code=code) for code in diagnoses))
    return replace(day, coded=coded, charges=charges)


def line(number: int, *, pointers=(1,), visit: str = "e1", **more) -> ServiceLine:
    return ServiceLine(
        procedure="97110",
        modifiers=("GP",),
        units=1,
        diagnosis_pointers=tuple(pointers),
        line_keys=(f"{visit}/{number}",),
        **more,
    )


def visits_of(**changes_of_second):
    (first,) = a_day().day.visits
    return (first, replace(first, visit_id="e2", **changes_of_second))


def body_of(priced: PricedDay, made=None, frequency: str = "1", original_id: str | None = None) -> list[str]:
    made = made or destination()
    assert made.lacks(priced) == []
    body, _ = made.encode(priced, reference=REFERENCE, frequency=frequency, original_id=original_id)
    return body.decode().split("~")[:-1]


def of(segments: list[str], start: str) -> list[str]:
    return [one for one in segments if one.startswith(start)]


def judged(tmp_path: Path, *days: PricedDay, made=None) -> str:
    """The file of these days, which all judges take."""
    made = made or destination(tmp_path)
    going = [
        replace(
            submission(made, reference=f"oak-{at}"),
            body=made.encode(day, reference=f"oak-{at}", frequency="1", original_id=None)[0],
        )
        for at, day in enumerate(days)
    ]
    assert all(made.lacks(day) == [] for day in days)
    asyncio.run(made.submit_batch(going))
    (file,) = tmp_path.glob("*.837")
    raw = file.read_bytes()
    assert complaints(raw) == []
    return raw.decode()


# ---------------------------------------------------------------- what is written


def test_a_day_is_one_transaction_set_that_three_judges_take(tmp_path):
    text = judged(tmp_path, a_day(), a_day(3))
    assert text.count("~ST*837*") == 2 and text.count("~CLM*") == 2
    head = text.split("~")[0].split("*")
    assert head[9:11] == ["261103", "1200"], "the envelope's time is that of option time_zone"
    assert "BHT*0019*00*" in text and text.count(f"{head[13]}-0001") == 1 and f"{head[13]}-0002" in text


def test_the_segments_of_a_day_word_for_word():
    assert body_of(a_day()) == [
        "HL*1**20*1",
        "PRV*BI*PXC*261QP2000X",
        "NM1*85*2*OAK STREET PHYSICAL THERAPY*****XX*1234567893",
        "N3*100 OAK STREET",
        "N4*COLUMBUS*OH*432151234",
        "REF*EI*123456789",
        "HL*2*1*22*0",
        "SBR*P*18*GRPQXZ8******MB",
        "NM1*IL*1*FAMQXZ*GIVQXZ****MI*MEMQXZ7",
        "N3*9 STREETQXZ",
        "N4*CITYQXZ*OH*987654321",
        "DMG*D8*19310709*F",
        "NM1*PR*2*MEDICARE PART B OHIO*****PI*15202",
        "CLM*0123456789ABCDEAA*90***11:B:1*Y*A*Y*Y",
        "REF*G1*AUTHQXZ9",
        "HI*ABK:M5450",
        "NM1*DN*1*REFERRER*DANA****XX*1477550010",
        "NM1*82*1*THERAPIST*PAT****XX*1558395210",
        "LX*1",
        "SV1*HC:97110:GP*60*UN*2***1",
        "DTP*472*D8*20261102",
        "REF*6R*PT-0123456789ABCDEF01234567-1",
        "LX*2",
        "SV1*HC:97161:GP*30*UN*1***1",
        "DTP*472*D8*20261102",
        "REF*6R*PT-0123456789ABCDEF01234567-2",
    ]


def test_a_correction_names_the_payers_number(tmp_path):
    for frequency in "78":
        made = destination(tmp_path / frequency)
        sent = submission(made, reference=REFERENCE, frequency=frequency, original_id="ICN00000077")
        segments = sent.body.decode().split("~")
        at = segments.index("REF*F8*ICN00000077")
        assert segments[at + 1].startswith("HI*") and of(segments, "CLM*")[0].endswith(f"11:B:{frequency}*Y*A*Y*Y")
        assert asyncio.run(made.submit(sent)).disposition is Disposition.ACCEPTED
        (file,) = (tmp_path / frequency).glob("*.837")
        assert complaints(file.read_bytes()) == []


def test_a_void_takes_back_what_was_sent_and_not_what_the_day_is_now():
    made = destination()
    live, _ = made.encode(a_day(4), reference=REFERENCE, frequency="7", original_id="ICN1")
    void, _ = made.encode_void(live, reference=REFERENCE, original_id="ICN2")
    assert sendable(void) == live.replace(b"11:B:7", b"11:B:8").replace(b"REF*F8*ICN1", b"REF*F8*ICN2")


@pytest.mark.parametrize(
    ("options", "number", "reason"), [({}, None, "no-payer-number"), ({"original_only": "VA MB"}, "ICN1", "original-only")]
)
@pytest.mark.parametrize("frequency", "78")
def test_a_correction_that_nobody_would_take_is_held_and_not_sent(options, number, reason, frequency, tmp_path):
    made = destination(tmp_path, **options)
    held = submission(made, reference="oak-1", frequency=frequency, original_id=number)
    good = submission(made, reference="oak-2")
    answers = asyncio.run(made.submit_batch([held, good]))
    assert [one.disposition for one in answers] == [Disposition.REJECTED, Disposition.ACCEPTED]
    assert answers[0].native_code == reason and answers[0].native_text.startswith("not sent: ")
    assert b"CLM" in next(tmp_path.glob("*.837")).read_bytes()
    assert asyncio.run(made.find(held)) is None


def test_medicare_takes_no_correction_unless_the_clinic_says_so():
    options = {name: text for name, text in OPTIONS.items() if name != "original_only"}
    made = build("x12_837p", options, folder=Path("unused"))
    assert made.encode(a_day(), reference="r", frequency="7", original_id="ICN1")[1].endswith("withheld=original-only")


# ---------------------------------------------------------------- splitting


def test_more_than_fifty_lines_are_several_claims(tmp_path):
    many = day_of([line(number) for number in range(1, 122)])
    text = judged(tmp_path, many)
    segments = text.split("~")
    assert [one.split("*")[1][-2:] for one in of(segments, "CLM*")] == ["AC", "BC", "CC"]
    assert [one.split("*")[2] for one in of(segments, "CLM*")] == ["1500", "1500", "630"]
    assert of(segments, "LX*")[49:52] == ["LX*50", "LX*1", "LX*2"]
    numbers = [one.rpartition("-")[2] for one in of(segments, "REF*6R")]
    assert numbers == [str(number) for number in range(1, 122)], "a line's number is its place in the day"


def test_more_than_twelve_diagnoses_are_several_claims_with_pointers_of_their_own(tmp_path):
    codes = [f"M25.5{number:02d}" if number < 10 else f"M54.{number}" for number in range(1, 15)]
    lines = [
        line(1, pointers=(1, 2, 3, 4)),
        line(2, pointers=(5, 6, 7, 8)),
        line(3, pointers=(9, 10, 11, 12)),
        line(4, pointers=(14, 13)),
    ]
    segments = judged(tmp_path, day_of(lines, diagnoses=codes)).split("~")
    first, second = of(segments, "HI*")
    assert first.count("*") == 12 and first.startswith("HI*ABK:M2550") and ":" in second
    assert second == "HI*ABK:M5413*ABF:M5414", "a claim has the diagnoses of its lines, and no other claim's"
    assert of(segments, "SV1*")[3].split("*")[7] == "2:1"


def test_a_line_goes_into_the_first_claim_that_has_room_for_its_diagnoses(tmp_path):
    codes = [f"M54.{number}" for number in range(10, 26)]
    pointers = [(1, 2, 3, 4), (5, 6, 7, 8), (9, 10), (13, 14), (15, 1), (13, 1), (11,)]
    segments = judged(tmp_path, day_of([line(at, pointers=of) for at, of in enumerate(pointers, 1)], diagnoses=codes)).split(
        "~"
    )
    first, second = of(segments, "HI*")
    assert first == "HI*ABK:M5410" + "".join(f"*ABF:M54{number}" for number in (*range(11, 20), 22, 23))
    assert second == "HI*ABK:M5410*ABF:M5420*ABF:M5424*ABF:M5421*ABF:M5425", "of its lines first, then what no line points to"
    assert [one.rpartition("-")[2] for one in of(segments, "REF*6R")] == ["1", "2", "3", "4", "6", "5", "7"]
    assert [one.split("*")[7] for one in of(segments, "SV1*")[4:]] == ["11:1", "3:1", "2"]


def test_each_authorization_has_a_claim_of_its_own(tmp_path):
    two = day_of([line(1), line(1, visit="e2"), line(2)], visits=visits_of(authorization_number="OTHER1"))
    segments = judged(tmp_path, two).split("~")
    assert of(segments, "REF*G1*") == ["REF*G1*AUTHQXZ9", "REF*G1*OTHER1"]
    assert [one.rpartition("-")[2] for one in of(segments, "REF*6R")] == ["1", "3", "2"]


def test_a_day_in_two_claims_is_corrected_with_a_number_for_each():
    made = destination()
    two = day_of([line(1), line(1, visit="e2")], visits=visits_of(authorization_number="OTHER1"))
    body, media_type = made.encode(two, reference=REFERENCE, frequency="7", original_id="ICN1 ICN2")
    assert of(body.decode().split("~"), "REF*F8*") == ["REF*F8*ICN1", "REF*F8*ICN2"] and "withheld" not in media_type
    assert made.encode(two, reference=REFERENCE, frequency="7", original_id="ICN1")[1].endswith("no-payer-number")
    void, media_type = made.encode_void(body, reference=REFERENCE, original_id="ICN3 ICN4")
    assert of(void.decode().split("~"), "REF*F8*") == ["REF*F8*ICN3", "REF*F8*ICN4"] and "withheld" not in media_type
    assert made.encode_void(body, reference=REFERENCE, original_id="ICN3")[1].endswith("no-payer-number")


# ---------------------------------------------------------------- people, places, accidents


def test_a_line_says_who_and_where_only_when_its_claim_does_not(tmp_path):
    other = Provider(npi="1245319599", name="Lee, Sam, DPT", credential="PT", taxonomy="225100000X")
    two = day_of([line(1), line(1, visit="e2")], visits=visits_of(rendering=other, supervising=other, place_of_service="12"))
    segments = judged(tmp_path, two).split("~")
    assert of(segments, "NM1*82*") == ["NM1*82*1*THERAPIST*PAT****XX*1558395210", "NM1*82*1*LEE*SAM****XX*1245319599"]
    assert of(segments, "SV1*")[0].split("*")[5] == "" and of(segments, "SV1*")[1].split("*")[5] == "12"
    assert of(segments, "PRV*PE*") == ["PRV*PE*PXC*225100000X"]
    assert of(segments, "NM1*DQ*") == ["NM1*DQ*1*LEE*SAM****XX*1245319599"], "all visits take the only one who is named"


def test_a_billing_provider_who_renders_is_not_named_twice(tmp_path):
    (visit,) = a_day().day.visits
    own = replace(visit, rendering=Provider(npi=BILLING.npi, name="Oak Street"))
    assert of(judged(tmp_path, day_of([line(1)], visits=(own,))).split("~"), "NM1*82*") == []


@pytest.mark.parametrize(
    ("accident", "clm11", "more"),
    [
        (
            Accident(kind="auto", on=date(2026, 1, 5), state="CA", claim_number="Q 7"),
            "*AA:::CA",
            ["DTP*439*D8*20260105", "REF*Y4*Q 7"],
        ),
        (Accident(kind="employment"), "*EM", []),
        (Accident(kind="other", on=date(2026, 1, 5)), "*OA", ["DTP*439*D8*20260105"]),
    ],
)
def test_an_accident_is_told_as_the_visit_tells_it(accident, clm11, more, tmp_path):
    (visit,) = a_day().day.visits
    segments = judged(tmp_path, day_of([line(1)], visits=(replace(visit, accident=accident),))).split("~")
    assert of(segments, "CLM*")[0].endswith(f"*Y*A*Y*Y*{clm11}")
    assert [one for one in segments if one.startswith(("DTP*439", "REF*Y4"))] == sorted(more, reverse=True)


# ---------------------------------------------------------------- what is refused


def lacking(priced: PricedDay, **more) -> str:
    """The findings of a day, none of which shows a fact of the patient."""
    findings = destination(**more).lacks(priced)
    text = " | ".join(map(str, findings))
    assert findings and {finding.code for finding in findings} == {"SB03"} and all(finding.holds for finding in findings)
    assert not any(marker in text for marker in ("FAMQXZ", "Famqxz", "MEMQXZ7", "Streetqxz", "AUTHQXZ9", "1931"))
    return text


def changed(**changes) -> PricedDay:
    """The day with its one visit changed."""
    (visit,) = a_day().day.visits
    return day_of([line(1)], visits=(replace(visit, **changes),))


def with_patient(**changes) -> PricedDay:
    return changed(patient=replace(a_day().day.patient, **changes))


def with_coverage(**changes) -> PricedDay:
    coverage = a_day().day.primary_coverage
    assert coverage is not None
    return changed(coverages=(replace(coverage, **changes),))


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (lambda: with_patient(family=None), "family name is missing"),
        (lambda: with_patient(birth_date=None), "birth date is missing"),
        (lambda: with_patient(sex=None), "sex is missing"),
        (lambda: with_patient(sex="female-ish"), "sex is none that DMG03 has"),
        (lambda: with_patient(address=None), "street is missing"),
        (
            lambda: with_patient(address=Address(lines=("a", "b", "c"), city="C", state="OH", postal_code="43215")),
            "3 street lines",
        ),
        (lambda: with_patient(address=Address(lines=("a",), city="C", state="Ohio", postal_code="43215")), "two letters"),
        (lambda: with_patient(address=Address(lines=("a",), city="C", state="OH", postal_code="4321")), "has 4 digits"),
        (lambda: with_patient(family="Ng*M1:~"), "cannot carry (U+002A, U+003A, U+007E)"),
        (lambda: with_patient(family="王"), "cannot carry (U+738B)"),
        (lambda: with_patient(family="x" * 61), "has 61 characters"),
        (lambda: with_patient(address=Address(lines=("a",), city="C", state="OH", postal_code="43215")), "wants 2"),
        (lambda: changed(rendering=Provider(npi="1558395210", name="A B", taxonomy="225100")), "wants 10"),
        (lambda: with_coverage(member_id=None), "member id is missing"),
        (lambda: with_coverage(relationship=None), "does not say whose it is"),
        (lambda: with_coverage(relationship="spouse"), "subscriber's family name is missing"),
        (lambda: with_coverage(relationship="injured"), "relationship to the subscriber is 'injured', and must be one of self"),
        (lambda: with_coverage(payer_id="X", payer_name="Y"), "how a claim names the payer is missing"),
        (lambda: changed(coverages=()), "member id is missing"),
        (lambda: changed(rendering=None), "rendering provider is not known"),
        (lambda: changed(rendering=Provider(npi=None, name="A B")), "rendering provider has no NPI"),
        (lambda: changed(rendering=Provider(npi="1558395212", name="A B")), "rendering provider has an NPI that has a wrong"),
        (lambda: changed(rendering=Provider(npi="1558395210")), "rendering provider has no name"),
        (lambda: changed(referring=Provider(npi="1477550010")), "referring provider has no name"),
        (lambda: changed(place_of_service=None), "place of service is missing"),
        (lambda: changed(place_of_service="1A"), "place of service is no code"),
        (lambda: changed(authorization_number="A~B"), "authorization number has characters"),
        (lambda: changed(accident=Accident(kind="auto", on=date(2026, 1, 5))), "state of the accident with a car is not known"),
        (lambda: changed(accident=Accident(kind="auto", state="CA")), "date of the accident is not known"),
        (lambda: changed(accident=Accident(kind="fall")), "no known kind"),
        (lambda: day_of([line(1)], diagnoses=()), "diagnosis is missing"),
        (lambda: day_of([line(1)], diagnoses=("54.50",)), "is no ICD-10-CM code"),
        (lambda: day_of([line(1, pointers=(2,))]), "must point to one to 4 of the 1 diagnoses"),
        (lambda: day_of([line(1, pointers=())]), "must point to one to 4"),
        (lambda: day_of([line(1, pointers=(1, 2, 3, 4, 5))], diagnoses=["M54.50"] * 5), "must point to one to 4 of the 5"),
        (lambda: day_of([replace(line(1), modifiers=("GP", "59", "KX", "CQ", "GA"))]), "has 5 modifiers"),
        (lambda: day_of([replace(line(1), modifiers=("G*",))]), "of another form"),
        (lambda: replace(a_day(), charges=(replace(a_day().charges[0], amount_cents=None),)), "has no price"),
        (
            lambda: day_of(
                [line(number, pointers=range(1, 5)) for number in (1, 2)], diagnoses=[f"M25.5{n:02d}" for n in range(99)]
            ),
            "no room",
        ),
    ],
)
def test_what_a_claim_cannot_say_holds_the_day(day, words):
    assert words in lacking(day())


def test_two_supervisors_and_a_visit_without_one_cannot_be_written():
    one, two = (Provider(npi=number, name="A B") for number in ("1558395210", "1477550010"))
    first, second = visits_of(supervising=one)
    third = replace(first, visit_id="e3", supervising=two)
    three = day_of([line(1), line(1, visit="e2"), line(1, visit="e3")], visits=(first, second, third))
    assert "supervising provider is not known, or not for each visit" in lacking(three)


def test_more_claims_than_names_hold_the_day():
    assert "would stand in one of 27 claims" in lacking(day_of([line(number) for number in range(1, 26 * 50 + 2)]))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("tax_id", None, "tax id is missing"),
        ("tax_id", "12-345", "has 5 digits"),
        ("npi", "1234567890", "NPI has a wrong check digit"),
        ("contact", None, "contact's name is missing"),
        ("phone", "555-0100", "telephone has 7 digits"),
        ("address", None, "street is missing"),
        ("address", AddressSpec(lines=("P.O. Box 7",), city="C", state="OH", postal_code="432151234"), "post office box"),
        ("address", AddressSpec(lines=("1 A St",), city="C", state="OH", postal_code="43215"), "has 5 digits, and needs 9"),
    ],
)
def test_a_clinic_file_that_lacks_what_a_claim_states_holds_every_day(name, value, words):
    assert words in lacking(a_day(), billing=msgspec.structs.replace(BILLING, **{name: value}))


def test_nothing_is_stated_that_the_clinic_did_not_say():
    text = lacking(a_day(), claims=NO_CLAIMS)
    for what in ("CLM06", "CLM07", "CLM08", "CLM09", "how a claim names the payer"):
        assert what in text
    assert "must be one of A, B, C" in lacking(a_day(), claims=msgspec.structs.replace(CLAIMS, accepts_assignment="yes"))
    wrong = {"MCR-B": msgspec.structs.replace(CLAIMS.payers["MCR-B"], filing="MX")}
    assert "no claim filing indicator" in lacking(a_day(), claims=msgspec.structs.replace(CLAIMS, payers=wrong))


def test_two_payers_for_one_coverage_are_none():
    other = {**CLAIMS.payers, "Medicare Part B": msgspec.structs.replace(CLAIMS.payers["MCR-B"], id="999")}
    assert "how a claim names the payer is missing" in lacking(a_day(), claims=msgspec.structs.replace(CLAIMS, payers=other))


def test_a_payer_that_the_clinic_file_does_not_name_is_one_finding():
    (only,) = destination(claims=msgspec.structs.replace(CLAIMS, payers={})).lacks(a_day())
    assert "how a claim names the payer is missing" in only.message
    wrong = {"MCR-B": msgspec.structs.replace(CLAIMS.payers["MCR-B"], filing="QQ", name="")}
    said = lacking(a_day(), claims=msgspec.structs.replace(CLAIMS, payers=wrong))
    assert "no claim filing indicator" in said and "the payer's name is missing" in said


def test_every_fact_that_a_table_demands_has_a_name_for_a_person():
    tables = (_x12_tables.DAY, _x12_tables.CLAIM)
    ours = {"control", "total", "frequency"}
    needed = {name for table in tables for row in table if row.required for name in row.needs} - ours
    assert needed <= set(_x12_tables.FACTS)


def test_a_day_that_lacks_facts_is_never_written():
    with pytest.raises(AssertionError):
        DayClaims(with_patient(family="*"), BILLING, CLAIMS).written(reference="r", frequency="1", payer_numbers=())


# ---------------------------------------------------------------- small parts


def test_names_of_ours():
    assert patient_control_number(REFERENCE, 2, 3) == "0123456789ABCDEBC"
    assert len(patient_control_number("any other form of a reference", 1, 1)) == 17
    assert line_control_number(REFERENCE, 99) == "PT-0123456789ABCDEF01234567-99"
    assert line_control_number(REFERENCE, 100) == "0123456789ABCDE-100"


@pytest.mark.parametrize(
    ("written", "carried"),
    [
        ("José  Núñez", "JOSE NUNEZ"),
        ("O’Brien–Smith", "O'BRIEN-SMITH"),
        ("Groß", "GROSS"),
        ("Apt #4\nrear", "APT #4 REAR"),
        ("½", None),
    ],
)
def test_characters(written, carried):
    if carried is None:
        with pytest.raises(Problem):
            spelled(written, 60)
    else:
        assert spelled(written, 60) == carried


def test_every_spelling_gives_characters_that_x12_carries():
    for one in SPELLED:
        assert spelled(f"a{one}a", 10)


@pytest.mark.parametrize(
    ("name", "credential", "parts"),
    [
        ("Pat Therapist", "PT", ("THERAPIST", "PAT")),
        ("Therapist, Pat", None, ("THERAPIST", "PAT")),
        ("Therapist, Pat, PT, DPT", "PT", ("THERAPIST", "PAT")),
        ("Pat Q. Therapist, D.P.T.", None, ("THERAPIST", "PAT Q.")),
        ("Pat Therapist DPT", "PT", ("THERAPIST", "PAT")),
        ("LEE, SAM", None, ("LEE", "SAM")),
        ("SAM LEE", None, ("LEE", "SAM")),
        ("Oak", None, ("OAK", "")),
    ],
)
def test_names_of_people(name, credential, parts):
    assert person(Provider(name=name, credential=credential)) == parts


def test_numbers():
    assert [amount(cents) for cents in (0, 6000, 6050, 6025, 100_000_000)] == ["0", "60", "60.5", "60.25", "1000000"]
    assert diagnosis(" m54.50") == "M5450"
    assert npi("1234567893") == "1234567893"
    for wrong in ("1234567890", "123456789", "3234567893", "12345678٩3"):
        with pytest.raises(Problem):
            npi(wrong)


# ---------------------------------------------------------------- the clinic file


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"submitter_id": ""}, "submitter_id"),
        ({"usage": "X"}, "write P or T"),
        ({"usage": ""}, "usage"),
        ({"submitter_qualifier": "Z"}, "two characters"),
        ({"receiver_id": "SIXTEEN CHARACTERS"}, "has 18 characters"),
        ({"receiver_name": "A*B"}, "cannot carry"),
        ({"time_zone": "Ohio"}, "no time zone"),
        ({"original_only": "MB MX"}, "'MX' is no claim filing indicator"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, words):
    with pytest.raises(ConfigError, match=words) as caught:
        destination(**options)
    assert "destination.options." in str(caught.value)


def test_a_social_security_number_is_told_as_one(tmp_path):
    own = destination(tmp_path, billing=msgspec.structs.replace(BILLING, tax_id="123-45-6789"))
    assert "REF*SY*123456789" in body_of(a_day(), own)


def test_the_groups_parties_may_be_others(tmp_path):
    made = destination(tmp_path, group_sender="G1", group_receiver="G2", ask_for_ta1="yes", submitter_qualifier="30")
    text = judged(tmp_path, a_day(), made=made)
    assert "GS*HC*G1*G2*" in text and text.split("*")[14] == "1" and text.split("*")[5] == "30"
