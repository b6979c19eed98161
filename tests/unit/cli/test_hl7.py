"""`ptbridge hl7`: a message as a person reads it, masked; and what a partner's sample lacks, without showing a value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ptbridge_sandbox.hl7_day import hl7_day

from ptbridge.cli import main
from ptbridge.wire.hl7_names import field_name, is_shown

CORPUS = Path(__file__).parents[3].parent / "shared" / "corpus" / "hl7v2" / "microsoft-samples"


def segment(name: str, **fields: str) -> str:
    """`segment("FT1", f4="20261119")`: each field at its place."""
    places = {int(place[1:]): value for place, value in fields.items()}
    return "|".join([name, *(places.get(place, "") for place in range(1, max(places) + 1))]) + "\r"


WHOLE = (
    "MSH|^~\\&|EMR|CLINIC|BRIDGE|BILLER|20261119180000||DFT^P03^DFT_P03|C1|P|2.5.1\r"
    + segment("EVN", f1="P03", f2="20261119180000")
    + segment("PID", f1="1", f3="P700", f5="Testerly^Ada", f7="19501231", f8="F", f11="1 Sample St^^Chicago^IL^60601")
    + segment("PV1", f1="1", f2="O", f8="1999999984^Refermore^Mira", f19="V900")
    + segment(
        "FT1", f1="1", f2="T1", f4="20261119", f6="CG", f7="97110^^C4", f10="2", f19="M54.50^^I10",
        f20="1234567893^Kneewell^Paula", f25="97110^^C4", f26="GP",
    )
    + segment("PR1", f1="1", f3="97110^^C4", f5="20261119", f7="24")
    + segment("NTE", f1="1", f3="Ada did well")
    + segment("ZPT", f1="Testerly", f2="secret")
    + segment("DG1", f1="1", f3="M54.50^^I10")
    + segment("IN1", f1="1", f2="PLAN", f3="MCR-B", f4="Medicare", f17="18", f36="1EG4TE5MK73")
)  # fmt: skip
MAPPING = """\
mapping: sample
standard: hl7v2
code_systems: {procedure: [C4], diagnosis: [I10]}
visit:
  visit_id: {take: PV1-19}
  status: {fixed: finished}
  service_date: {take: FT1-4}
  discipline: {fixed: PT}
patient: {each: PID, id: {take: PID-3}, family: {take: PID-5.1}, given: {take: PID-5.2}, birth_date: {take: PID-7}}
coverages: {each: IN1, payer_id: {take: IN1-3}, member_id: {take: IN1-36}}
rendering: {each: FT1-20, npi: {take: FT1-20.1}}
diagnoses: {each: DG1, code: {take: DG1-3}}
interventions:
  each: FT1
  line_key: {take: FT1-2}
  code: {take: [FT1-25, FT1-7]}
  minutes: {take: PR1-7, unit: min}
  units: {take: FT1-10}
  modifiers: {take: "FT1-26[*]"}
"""
SECRETS = ("Testerly", "Ada", "19501231", "P700", "V900", "1EG4TE5MK73", "Sample St", "secret", "did well")


@pytest.fixture
def mapping(tmp_path: Path) -> str:
    path = tmp_path / "sample.yaml"
    path.write_text(MAPPING)
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["hl7", *words])
    return code, capsys.readouterr().out


def sample(tmp_path: Path, text: str = WHOLE) -> str:
    path = tmp_path / "sample.hl7"
    path.write_bytes(text.encode())
    return str(path)


def test_a_message_is_shown_by_name_with_what_the_mapping_takes_and_without_the_patient(
    tmp_path: Path, mapping: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(capsys, "show", sample(tmp_path), "--mapping", mapping)
    assert code == 0
    assert "PID-5   Patient name" in said and "-> patient.family, patient.given" in said
    assert "FT1-25" in said and "97110^^C4" in said and "-> interventions.code" in said
    assert "ZPT  of the sender's own" in said
    assert not [secret for secret in SECRETS if secret in said]


def test_phi_is_shown_only_when_asked_for(tmp_path: Path, mapping: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, said = run(capsys, "show", sample(tmp_path), "--mapping", mapping, "--phi")
    assert not [secret for secret in SECRETS if secret not in said]


def test_escapes_are_decoded_and_cannot_steer_the_terminal(
    tmp_path: Path, mapping: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, said = run(capsys, "show", sample(tmp_path, WHOLE.replace("Medicare|", "Care \\T\\ Co\x1b[31m|")), "--mapping", mapping)
    assert "Care & Co" in said and "\x1b" not in said


def test_a_whole_sample_lacks_nothing_that_holds(tmp_path: Path, mapping: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "check", sample(tmp_path), "--mapping", mapping, "--json")
    (found,) = json.loads(said)["messages"]
    assert [lack for lack in found["lacks"] if lack[3]] == []
    assert (found["kind"], found["charges"], found["unreadable"]) == ("DFT^P03", 1, "")
    assert code == 0, found


@pytest.mark.parametrize(
    ("taken_out", "put_in", "words", "where"),
    [
        ("||24\r", "||\r", "the minutes", "FT1[1]"),
        ("1EG4TE5MK73", "", "the member id", "the message"),
        ("|19501231|", "||", "the patient's birth date", "the message"),
        ("1234567893^", "^", "the treating therapist's NPI", "the message"),
        ("|C1|", "||", "MSH-10 is empty", "the message"),
    ],
)
def test_each_fact_that_is_missing_is_named_with_where_it_was_looked_for(
    taken_out: str, put_in: str, words: str, where: str, tmp_path: Path, mapping: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert taken_out in WHOLE
    code, said = run(capsys, "check", sample(tmp_path, WHOLE.replace(taken_out, put_in)), "--mapping", mapping, "--json")
    (found,) = json.loads(said)["messages"]
    assert [where, words] in [lack[:2] for lack in found["lacks"] if lack[3]]
    assert code == 3


@pytest.mark.parametrize(
    ("field", "words", "looked"),
    [
        ("", "", ""),
        ("V0001^^^SANDBOX^VN", "the visit's number", "PV1-19, PID-18"),
        ("1900002019^", "the treating therapist's NPI", "FT1-20, PR1-11, PV1-7"),
        ("1900002415^", "the referring provider's NPI", "FT1-21, PV1-8"),
    ],
)
def test_the_shipped_mapping_finds_what_no_path_of_its_own_names(
    field: str, words: str, looked: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = next(one.raw for one in hl7_day() if one.kind.startswith("DFT") and one.visit == "V0001").decode()
    assert field in raw
    _, said = run(
        capsys, "check", sample(tmp_path, raw.replace(field, "X^" if field.endswith("^") else "") if field else raw), "--json"
    )
    (found,) = json.loads(said)["messages"]
    missing = {lack[1]: lack[2] for lack in found["lacks"]}
    named = {"the visit's number", "the treating therapist's NPI", "the referring provider's NPI"}
    assert {name: missing[name] for name in named & set(missing)} == ({words: looked} if words else {})


def test_a_damaged_message_is_named_by_its_line_and_the_others_are_checked(
    tmp_path: Path, mapping: str, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = WHOLE + "MSH\r" + WHOLE
    code, said = run(capsys, "check", sample(tmp_path, broken), "--mapping", mapping)
    assert code == 3
    assert "sample.hl7:1: DFT^P03, 1 charge" in said and "sample.hl7:12: DFT^P03, 1 charge" in said
    assert "sample.hl7:11: unreadable" in said
    assert not [secret for secret in SECRETS if secret in said]


def test_a_file_without_a_message_and_an_unknown_charset(
    tmp_path: Path, mapping: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hl7", "show", sample(tmp_path, "nothing here\r"), "--mapping", mapping]) == 6
    assert "no line starts with MSH" in capsys.readouterr().err
    assert main(["hl7", "show", sample(tmp_path), "--mapping", mapping, "--charset", "KLINGON"]) == 2


def test_names_come_from_the_version_and_else_from_the_newest() -> None:
    assert field_name("PID", 5, "2.5.1") == "Patient name"
    assert field_name("PID", 40, "2.1") == field_name("PID", 40, "2.8.2") != ""
    assert field_name("ZPT", 1, "2.5.1") == ""


def test_what_is_not_known_to_be_harmless_is_masked() -> None:
    assert not any(is_shown(segment, 2) for segment in ("ZZZ", "NTE", "NK1", "GT1", "IN2"))
    assert not is_shown("OBX", 5) and not is_shown("IN1", 36) and not is_shown("PV1", 19)
    assert is_shown("FT1", 25) and is_shown("MSH", 10)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the public corpus is not here")
def test_every_message_of_the_public_corpus_can_be_shown_and_checked(capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted(CORPUS.rglob("*.hl7"))
    assert len(files) == 139
    for file in files:
        assert main(["hl7", "show", str(file), "--json"]) in (0, 3)
        (shown,) = json.loads(capsys.readouterr().out)
        if file.name == "DFT-P03-01.hl7":
            assert main(["hl7", "check", str(file)]) == 3
            assert "2 charges" in capsys.readouterr().out
        assert shown.get("unreadable") or shown["segments"]
