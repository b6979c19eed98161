"""What the messages of one visit become: lines, credits, facts, and what nobody may guess."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptbridge.errors import ConfigError, RecordError
from ptbridge.intake import compile_mapping, normalize
from ptbridge.model import Discipline, SourceRecord, Visit, VisitStatus
from ptbridge.specs.mapping_files import load_mapping
from ptbridge.wire.hl7_record import MEDIA_TYPE, Part, join_parts, split_parts
from tests.hl7_clinic import INSURANCE, a_visit, adt, charge, dft, merge, note, segments

GENERIC = compile_mapping(load_mapping("emrs/hl7v2_generic"))
CHICAGO = ZoneInfo("America/Chicago")


def record_of(*parts: bytes | tuple[str, bytes], only_day: str = "") -> SourceRecord:
    """Messages in order of arrival; a bare one is used as its type says."""
    found = []
    for number, part in enumerate(parts, start=1):
        use, raw = part if isinstance(part, tuple) else ("charges" if b"|DFT^" in part else "facts", part)
        found.append(Part(number, use, None, raw))
    return SourceRecord(
        clinic="lakeside-pt",
        source="hl7v2",
        record_key="V1",
        media_type=MEDIA_TYPE,
        payload=join_parts(found, only_day),
        received_at=datetime(2026, 11, 18, tzinfo=UTC),
    )


def read(*parts: bytes | tuple[str, bytes], only_day: str = "") -> Visit:
    return normalize(record_of(*parts, only_day=only_day), GENERIC, time_zone=CHICAGO)


def codes(one: Visit) -> set[str]:
    return {finding.code for finding in one.findings}


def billed(one: Visit) -> list[tuple[str | None, int | None]]:
    return [(line.code, line.units_documented) for line in one.interventions]


def test_a_whole_visit() -> None:
    one = read(*a_visit())
    assert (one.visit_id, one.status, one.service_date) == ("V1", VisitStatus.FINISHED, date(2026, 11, 18))
    assert one.discipline is Discipline.PT and one.note_signed is True and codes(one) == set()
    assert one.patient.id == "M100" and one.patient.family == "Quill" and one.patient.birth_date == date(1962, 3, 4)
    assert one.patient.address is not None and one.patient.address.postal_code == "55802"
    assert one.rendering is not None and (one.rendering.npi, one.rendering.credential) == ("1234567893", "PT")
    assert one.referring is not None and one.referring.npi == "1003000126"
    (cover,) = one.coverages
    assert (cover.payer_id, cover.member_id, cover.order, cover.relationship) == ("MCR-B", "1EG4TE5MK73", 1, "self")
    assert [diagnosis.code for diagnosis in one.diagnoses] == ["M54.50"]
    first, second = one.interventions
    assert (first.line_key, first.code, first.minutes, first.units_documented) == ("V1-T1", "97110", 24, 2)
    assert (first.modifiers, first.minutes_source, first.units_source) == (("GP",), "PR1-7", "FT1-10")
    assert (second.line_key, second.minutes, second.diagnosis_codes) == ("V1-T2", 23, ("M54.50",))


def test_the_payload_reads_back_part_for_part() -> None:
    parts = [Part(3, "charges", None, b"MSH|1\x0b\x1c\n7 facts - 3\n"), Part(9, "late-merge", "8859/1", b"")]
    again = split_parts(join_parts(parts, "2026-11-18"))
    assert list(again.parts) == parts and again.only_day == "2026-11-18"
    for cut in range(1, len(join_parts(parts))):
        with pytest.raises(RecordError):
            split_parts(join_parts(parts)[:cut] + b"!")


def test_a_bare_message_is_read_as_a_sample() -> None:
    sample = record_of()
    raw = SourceRecord(
        clinic="c", source="s", record_key="k", media_type="x", payload=a_visit()[1], received_at=sample.received_at
    )
    assert len(normalize(raw, GENERIC, time_zone=CHICAGO).interventions) == 2


def test_no_patient_or_no_message_is_no_visit() -> None:
    with pytest.raises(RecordError, match="no patient"):
        read(a_visit()[1].replace(b"M100^^^LAKE^MR", b""))
    with pytest.raises(RecordError):
        normalize(record_of(), GENERIC, time_zone=CHICAGO)


# ---------------------------------------------------------------- lines


@pytest.mark.parametrize(
    ("field", "procedure", "expected"),
    [
        ("97110^^C4", "CM1", "97110"),
        ("97110", "CM1", "97110"),  # FT1-25 is a procedure by definition
        ("", "97140^^C4", "97140"),
        ("", "97140", None),  # by agreement only: not in the mapping, so it holds
        ('""', "97140^^CPT", "97140"),
        ("97110^^LOCAL", "97140^^C4", None),
    ],
)
def test_ft1_25_comes_before_ft1_7_and_a_bare_ft1_7_is_nobodys_code(field: str, procedure: str, expected: str | None) -> None:
    raw = dft("D", charge(1, "97110", "1", "15"))
    raw = raw.replace(b"|CM97110|", f"|{procedure}|".encode()).replace(b"|97110^^C4|GP", f"|{field}|GP".encode())
    one = read(raw)
    assert one.interventions[0].code == expected and ("MP01" in codes(one)) == (expected is None)


@pytest.mark.parametrize("written", ["GP~59~KX", "GP59KX", "gp 59,KX", "GP^Physical~59~KX"])
def test_modifiers_repeated_or_joined(written: str) -> None:
    assert read(dft("D", charge(1, "97110", "1", "15", modifiers=written))).interventions[0].modifiers == ("GP", "59", "KX")


def test_units_minutes_and_a_note_as_they_are_written() -> None:
    one = read(dft("D", charge(1, "97110", "2.00", "24.5")))
    assert one.interventions[0].units_documented == 2 and one.interventions[0].minutes == 24
    assert codes(one) == {"MP13"}
    assert read(dft("D", charge(1, "97110", "", ""))).interventions[0].units_documented is None


def test_minutes_of_an_obx_and_of_a_note_are_the_lines_own(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "mapping: own\nextends: emrs/hl7v2_generic\nstandard: hl7v2\n"
        'interventions: {minutes: {take: ["OBX[3=MIN]-5", NTE-3, ZCT-2], unit: min}}\n'
    )
    own = compile_mapping(load_mapping(tmp_path / "own.yaml"))
    first = [*charge(1, "97110", "1", ""), "OBX|1|NM|MIN||17|min"]
    second = [*charge(2, "97140", "1", ""), "NTE|1||Minutes: 18 min"]
    third = [*charge(3, "97530", "1", ""), "ZCT|1|19"]
    one = normalize(record_of(dft("D", first, second, third)), own, time_zone=CHICAGO)
    assert [(line.minutes, line.minutes_source) for line in one.interventions] == [
        (17, "OBX[3=MIN]-5"),
        (18, "NTE-3"),
        (19, "ZCT-2"),
    ]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("M54.50^^I10~M25.561^^I10", ("M54.50", "M25.561")),
        ("M5450~M25561", ("M54.50", "M25.561")),  # the dot that many senders leave out
        ("M54.50^M25.561", ("M54.50", "M25.561")),  # the wrong separator, as EncounterPRO sends it
        ("M54.50^I10^M25.561", ("M54.50", "I10", "M25.561")),
        ("1", ("M54.50",)),  # a DG1's set id
        ("29857009^Chest pain^SCT", ("29857009",)),  # kept, so that an edit holds it
    ],
)
def test_diagnoses_of_a_line(written: str, expected: tuple[str, ...]) -> None:
    raw = dft("D", charge(1, "97110", "1", "15")).replace(b"|M54.50^^I10|1234", f"|{written}|1234".encode())
    assert read(raw).interventions[0].diagnosis_codes == expected


def test_an_id_that_is_no_npi_is_no_npi_and_two_therapists_hold() -> None:
    local = a_visit()[1].replace(b"1234567893^Rivera", b"77^Rivera")
    one = read(local)
    assert one.rendering is not None and one.rendering.id == "77" and one.rendering.npi is None
    two = a_visit()[1].replace(b"1234567893^Rivera^Ana^^^^PT^^NPI", b"1356789012^Wu^Li^^^^PT^^NPI", 2)
    assert read(two).rendering is None and "MP16" in codes(read(two))


def test_the_service_date_is_the_day_as_written_whatever_the_offset() -> None:
    late = dft("D", charge(1, "97110", "1", "15", on="20261118233000+0000"))
    assert read(late).service_date == date(2026, 11, 18)


# ---------------------------------------------------------------- which charges stand


def test_a_replay_adds_nothing_and_two_alike_in_one_message_are_two() -> None:
    twice = dft("D1", charge(1, "97110", "1", "15"), charge(2, "97110", "1", "15"))
    again = dft("D2", charge(1, "97110", "1", "15"), charge(2, "97110", "1", "15"), at="20261119080000-0600")
    assert billed(read(twice, again)) == [("97110", 1), ("97110", 1)]
    assert [line.line_key for line in read(twice, again).interventions] == ["97110-GP#1", "97110-GP#2"]


def test_the_same_id_with_other_content_corrects_and_without_ids_nobody_can_tell() -> None:
    first = dft("D1", charge(1, "97110", "2", "24", id_="A7"))
    assert billed(read(first, dft("D2", charge(1, "97110", "1", "12", id_="A7"), at="20261119080000-0600"))) == [("97110", 1)]
    bare = dft("D1", charge(1, "97110", "2", "24"))
    one = read(bare, dft("D2", charge(1, "97110", "1", "12"), at="20261119080000-0600"))
    assert codes(one) == {"MP32"} and len(one.interventions) == 2


@pytest.mark.parametrize("ids", [("1", "1"), ("1", "2"), ("", "X2"), ("X", "X")])
def test_an_id_that_is_none_or_a_line_number_or_on_every_line_is_no_key(ids: tuple[str, str]) -> None:
    one = read(dft("D1", charge(1, "97110", "1", "15", id_=ids[0]), charge(2, "97140", "1", "15", id_=ids[1])))
    assert [line.line_key for line in one.interventions] == ["97110-GP#1", "97140-GP#1"]


@pytest.mark.parametrize("kind", ["CD", "CR", "2"])
def test_a_credit_takes_back_its_charge_by_content_or_by_id(kind: str) -> None:
    for id_ in ("", "A7"):
        start = dft("D1", charge(1, "97110", "2", "24", id_=id_), charge(2, "97140", "1", "15", id_=id_ and "A8"))
        credit = dft("D2", charge(1, "97110", "2.0", "24", id_=id_, kind=kind), at="20261119080000-0600")
        assert billed(read(start, credit)) == [("97140", 1)]


def test_a_credit_and_a_new_charge_in_one_message_correct_without_any_id() -> None:
    start = dft("D1", charge(1, "97110", "2", "24"))
    lines = charge(1, "97110", "2", "24", kind="CD"), charge(2, "97110", "1", "12")
    one = read(start, dft("D2", *lines, at="20261119080000-0600"))
    assert billed(one) == [("97110", 1)] and codes(one) == set()


def test_a_credit_of_part_or_of_nothing_holds() -> None:
    start = dft("D1", charge(1, "97110", "3", "45", id_="A7"))
    part = dft("D2", charge(1, "97110", "1", "15", id_="A7", kind="CD"), at="20261119080000-0600")
    one = read(start, part)
    assert codes(one) == {"MP30"} and billed(one) == [("97110", 3)]


def test_all_charges_taken_back_is_a_visit_in_error() -> None:
    credit = dft("D2", charge(1, "97110", "-2", "24"), at="20261119080000-0600")
    one = read(dft("D1", charge(1, "97110", "2", "24")), credit)
    assert one.status is VisitStatus.ENTERED_IN_ERROR and one.interventions == ()


def test_payments_and_adjustments_are_no_charges_and_an_unknown_type_holds() -> None:
    assert billed(read(dft("D", charge(1, "97110", "1", "15", kind="PY"), charge(2, "97140", "1", "15")))) == [("97140", 1)]
    assert codes(read(dft("D", charge(1, "97110", "1", "15", kind="ZZ")))) == {"MP08"}
    assert "MP02" in codes(read(dft("D", charge(1, "97110", "1", "15", kind=""))))


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(4)), st.lists(st.integers(0, 3), max_size=4))
def test_order_of_arrival_and_repetition_never_change_the_visit(order: list[int], again: list[int]) -> None:
    corrected = dft("V1-D2", charge(1, "97110", "1", "12", id_="V1-T1"), at="20261119080000-0600")
    messages = [*a_visit(), corrected]
    expected = read(*messages)
    found = read(*[messages[place] for place in [*order, *again]])
    assert (found.interventions, found.status, found.note_signed) == (
        expected.interventions,
        expected.status,
        expected.note_signed,
    )


# ---------------------------------------------------------------- plausibility


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        (b"|20261118|20261118|CG|", b"|P|20261118|CG|", "FT1[1]-4"),
        (b"|20261118|20261118|CG|", b"||20261118|CG|", "FT1[1]-4"),
        (b"|20261118|20261118|CG|", b"|20261118|CG|20261118|", "FT1[1]-6"),
        (b"|20261118|20261118|CG|", b"|20261118|CG|97110|", "FT1[1]-6"),
        (b"CM97110|||1|", b"CM97110|||97110|", "FT1[1]-10"),
        (b"CM97110|||1|", b"CM97110|||therapy|", "FT1[1]-10"),
        (b"|97110^^C4|GP", b"|20261118|97110", "FT1[1]-25"),
    ],
)
def test_a_shifted_field_is_named_and_its_content_is_not(before: bytes, after: bytes, where: str) -> None:
    raw = dft("D", charge(1, "97110", "1", "15"))
    assert before in raw
    with pytest.raises(RecordError) as caught:
        read(raw.replace(before, after))
    assert str(caught.value).startswith(where) and "therapy" not in str(caught.value) and caught.value.fix


# ---------------------------------------------------------------- facts


def test_a_null_deletes_and_an_empty_field_leaves() -> None:
    newer = adt("A08", "A2", at="20261118180000-0600")
    assert read(*a_visit(), newer.replace(b"|Quill^Dana^A|", b"||")).patient.family == "Quill"
    assert read(*a_visit(), newer.replace(b"||2185550100", b'||""')).patient.phone is None
    assert read(*a_visit(), newer.replace(b"||2185550100", b"||2185550199")).patient.phone == "2185550199"


def test_the_newest_list_of_insurances_replaces_the_older_and_the_visits_own_beat_the_persons() -> None:
    newer = adt("A08", "A2", at="20261118180000-0600").replace(b"MCR-B", b"ACME")
    assert [one.payer_id for one in read(*a_visit(), newer).coverages] == ["ACME"]
    assert [one.payer_id for one in read(*a_visit(), ("person", newer)).coverages] == ["MCR-B"]
    ended = adt("A08", "A3", at="20261118190000-0600").replace(b"IN1|1|MB^Medicare|", b'IN1|1|""|')
    assert read(*a_visit(), ended).coverages == ()


def test_two_primaries_hold_and_one_out_of_force_is_left_out() -> None:
    second = INSURANCE.replace("MCR-B", "ACME")
    raw = adt("A08", "A2", at="20261118180000-0600")
    assert "MP05" in codes(read(*a_visit(), raw + segments(second)))
    over = segments(second.replace("|20200101|", "|20200101|20210101").replace("||||Quill", "|||Quill"))
    one = read(*a_visit(), raw + over)
    assert [cover.payer_id for cover in one.coverages] == ["MCR-B"] and codes(one) == {"MP14"}


def test_an_update_after_the_charge_does_not_unfinish_and_msh_9_beats_evn_1() -> None:
    assert read(*a_visit(), adt("A04", "A9", at="20261119180000-0600")).status is VisitStatus.FINISHED
    cancelled = adt("A11", "A9", at="20261119180000-0600").replace(b"EVN|A11", b"EVN|A01")
    assert read(*a_visit(), cancelled).status is VisitStatus.CANCELLED
    again = adt("A04", "A10", at="20261120180000-0600")
    assert read(*a_visit(), cancelled, again).status is VisitStatus.IN_PROGRESS


def test_every_document_must_be_signed_and_a_cancelled_one_is_none() -> None:
    other = note("N2", "PA", at="20261118160000-0600").replace(b"DOC-V1", b"DOC-2")
    assert read(*a_visit(), other).note_signed is False
    gone = other.replace(b"T02", b"T11").replace(b"160000", b"170000")
    assert read(*a_visit(), other, gone).note_signed is True
    assert read(a_visit()[1]).note_signed is None


def test_merges_chain_and_a_late_one_only_names_the_survivor() -> None:
    chain = [("merge", merge("M1", "M100", "M200")), ("merge", merge("M2", "M200", "M300", at="20261119100000-0600"))]
    one = read(*a_visit(), *chain, ("merge", merge("M3", "M100", "M200", at="20261119110000-0600")))
    assert (one.patient.id, one.patient.mrn, one.patient.replaced_by) == ("M300", "M300", None)
    late = read(*a_visit(), ("late-merge", merge("M1", "M100", "M200")))
    assert (late.patient.id, late.patient.replaced_by) == ("M100", "M200") and codes(late) == {"MP06"}
    assert read(*a_visit(), ("merge", merge("M1", "M999", "M200"))).patient.id == "M100"


def test_a_day_of_a_number_takes_that_days_lines_only() -> None:
    raw = dft("D", charge(1, "97110", "1", "15"), charge(2, "97140", "1", "15", on="20261119"))
    assert billed(read(raw, only_day="2026-11-19")) == [("97140", 1)]
    both = read(raw)
    assert both.service_date is None and codes(both) == {"MP35"}


def test_two_disciplines_under_one_number_hold() -> None:
    raw = dft("D", charge(1, "97110", "1", "15"), charge(2, "92507", "1", "15", modifiers="GN"))
    assert read(raw).discipline is None and codes(read(raw)) == {"MP37"}


def test_no_finding_repeats_who_the_patient_is() -> None:
    raw = dft("D", charge(1, "97110", "1", "15")).replace(b"|CM97110|", b"|Quill|").replace(b"|97110^^C4|", b"||")
    one = read(raw)
    assert "MP01" in codes(one) and not any("quill" in str(finding).lower() for finding in one.findings)


def test_a_visit_remembered_from_another_patient_is_never_taken() -> None:
    """Sections are remembered by their text: another patient, insurance or diagnosis must be read anew."""
    first = read(*a_visit())
    other = [raw.replace(b"M100", b"M555").replace(b"M54.50", b"M25.561").replace(b"MCR-B", b"ACME") for raw in a_visit()]
    second = read(*other)
    assert second.patient.id == "M555" and [one.code for one in second.diagnoses] == ["M25.561"]
    assert [one.payer_id for one in second.coverages] == ["ACME"] and first == read(*a_visit())


def test_a_word_of_a_status_table_that_the_reader_does_not_know_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "mapping: own\nextends: emrs/hl7v2_generic\nstandard: hl7v2\nlookups:\n  transaction_types:\n    CG: bill\n"
    )
    with pytest.raises(ConfigError, match=r"own\.yaml:6: .*'bill' is not one of charge, credit, not-a-charge"):
        compile_mapping(load_mapping(path))
    start = "mapping: own\nextends: emrs/hl7v2_generic\nstandard: hl7v2\n"
    path.write_text(start + "visit:\n  service_date: {take: FT1.4}\n")
    with pytest.raises(ConfigError, match=r"own\.yaml:5"):
        compile_mapping(load_mapping(path))


def test_the_reason_of_a_re_evaluation_comes_from_where_the_mapping_says(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "mapping: own\nextends: emrs/hl7v2_generic\nstandard: hl7v2\ninterventions: {reason: {take: ZCT-2}}\n"
    )
    own = compile_mapping(load_mapping(tmp_path / "own.yaml"))
    lines = [[*charge(number, code, "1", ""), f"ZCT|1|fell {number}"] for number, code in enumerate(("97164", "97110"), 1)]
    one = normalize(record_of(dft("D", *lines)), own, time_zone=CHICAGO)
    assert [(line.code, line.reason) for line in one.interventions] == [("97164", "fell 1"), ("97110", None)]
    assert [line.reason for line in read(dft("D", *lines)).interventions] == [None, None]


GUARANTOR = "GT1|1||Quill^Morgan^B||12 Shore Rd^^Duluth^MN^55802|2185550100||19600102|M||PAR"


def with_guarantor(*segments_: str) -> list[bytes]:
    registered, charged, signed = a_visit()
    return [registered + "".join(f"{one}\r" for one in segments_).encode(), charged, signed]


def test_the_guarantor_is_whom_the_first_gt1_of_the_newest_message_with_one_names() -> None:
    one = read(*with_guarantor(GUARANTOR, "GT1|2||Other^Person")).guarantor
    assert one is not None and (one.family, one.given, one.relationship, one.sex) == ("Quill", "Morgan", "parent", "male")
    assert one.birth_date == date(1960, 1, 2) and one.address is not None and one.address.city == "Duluth"
    assert one.phone == "2185550100" and "Quill" not in repr(one)
    assert read(*a_visit()).guarantor is None
    assert read(*with_guarantor("GT1|1|||||||||||||||||||Acme Works")).guarantor is None  # an employer is no person


def test_a_word_for_the_guarantor_that_nobody_knows_is_left_out_and_holds_nothing() -> None:
    visit = read(*with_guarantor(GUARANTOR.replace("|PAR", "|ZZZ")))
    assert visit.guarantor is not None and (visit.guarantor.family, visit.guarantor.relationship) == ("Quill", None)
    assert visit.findings == ()
