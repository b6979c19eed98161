"""The commands that need no clinic: units, explain, edits, mapping, connector."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from ptbridge.cli import main
from tests.hl7_clinic import a_visit


def answer(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(list(words)) == code
    return capsys.readouterr().out


def test_units_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    shown = answer(capsys, "units", "--policy", "medicare_part_b", "97110=33", "97140=7", "97161")
    assert shown.splitlines()[:3] == ["97110-GP x2", "97140-GP x1", "97161-GP x1"]
    assert "33 of 40 timed minutes -> 2 of 3 units" in shown


def test_units_answers_each_json_line_and_a_bad_one_does_not_stop_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good = b'{"lines": [{"code": "97110", "minutes": 33}, {"code": "97140", "minutes": 7}], "discipline": "PT"}\n'
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(good + b"{nonsense\n\n" + good), isatty=lambda: False))
    lines = [json.loads(line) for line in answer(capsys, "units", "--policy", "medicare_part_b", "--json", code=2).splitlines()]
    assert len(lines) == 3
    assert lines[0] == lines[2]
    assert [(line["code"], line["units"], line["modifiers"]) for line in lines[0]["lines"]] == [
        ("97110", 2, ["GP"]),
        ("97140", 1, ["GP"]),
    ]
    assert set(lines[1]) == {"error"}


@pytest.mark.parametrize(
    "words", [[], ["9711=3"], ["97110=x"], ["97110=5", "--on", "2026-02-30"], ["97110=5", "--policy", "nope"]]
)
def test_units_refuses_what_it_does_not_understand(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["units", "--policy", "medicare_part_b", *words]) == 2
    assert capsys.readouterr().err.startswith("ptbridge: ")


def test_every_edit_is_listed_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(answer(capsys, "edits", "list", "--json"))
    assert len(listed) >= 15
    for edit in listed:
        page = json.loads(answer(capsys, "explain", edit["code"], "--json"))
        assert edit["title"] in page["manual"].replace("\n", " ")


@pytest.mark.parametrize("code", ["MP01", "PX01", "un01"])
def test_codes_that_are_no_edits_are_explained_too(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Fix" in answer(capsys, "explain", code)


def test_an_unknown_code_names_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "UN99"]) == 6
    said = capsys.readouterr().err
    assert "UN01" in said and "DC01" not in said and len(said) < 300
    assert main(["explain", "ZZ99"]) == 6
    said = capsys.readouterr().err
    assert "AU, CV, DC" in said and "ptbridge edits list" in said


def test_mapping_check_and_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "mapping", "check", "emrs/fhir_r4").startswith("ok")
    bad = tmp_path / "bad.yaml"
    bad.write_text("mapping: bad\nextends: emrs/fhir_r4\nvisit:\n  discipline: {fxied: PT}\n")
    assert "bad.yaml:4: visit.discipline: unknown key 'fxied'" in answer(capsys, "mapping", "check", str(bad), code=6)
    assert "interventions" in json.loads(answer(capsys, "mapping", "schema"))["$defs"]["MappingSpec"]["properties"]


def test_mapping_try_masks_the_patient(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    patient = {
        "resourceType": "Patient",
        "id": "pat-secret",
        "name": [{"family": "Testerly", "given": ["Anna"]}],
        "birthDate": "1960-02-03",
    }
    encounter = {
        "resourceType": "Encounter",
        "id": "enc-1",
        "status": "finished",
        "subject": {"reference": "Patient/pat-secret"},
    }
    record = tmp_path / "record.json"
    record.write_text(
        json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": encounter}, {"resource": patient}]})
    )
    shown = answer(capsys, "mapping", "try", "emrs/fhir_r4", str(record), code=3)
    assert "enc-1" in shown
    assert not [word for word in ("Testerly", "Anna", "1960-02-03", "pat-secret") if word in shown]
    assert "Testerly" in answer(capsys, "mapping", "try", "emrs/fhir_r4", str(record), "--show-patient", code=3)
    record.write_text('{"resourceType": "Bundle", "entry": [')
    assert "Unreadable" in answer(capsys, "mapping", "try", "emrs/fhir_r4", str(record), code=3)


def test_mapping_try_reads_hl7_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    second = b"IN1|2|AET|60054||||||||||||||SEL" + b"\r"
    registered, charged, signed = (raw.replace(b"IN1|1|", second + b"IN1|1|") for raw in a_visit())
    record = tmp_path / "visit.txt"  # whatever it is called
    record.write_bytes(charged)
    shown = answer(capsys, "mapping", "try", "emrs/hl7v2_generic", str(record))
    rows = {
        row["field"]: row for row in json.loads(answer(capsys, "mapping", "try", "emrs/hl7v2_generic", str(record), "--json"))
    }
    assert rows["interventions[1].code"] == {
        "field": "interventions[1].code",
        "value": "97110",
        "path": "FT1-25",
        "missing": "",
    }
    assert (rows["interventions[2].minutes"]["value"], rows["interventions[2].minutes"]["path"]) == ("23", "PR1-7")
    assert rows["coverages[1].payer_id"]["value"] == "60054" and rows["coverages[2].payer_id"]["value"] == "MCR-B"
    assert (rows["rendering.npi"]["value"], rows["rendering.npi"]["path"]) == ("1234567893", "FT1-20")
    assert rows["note"]["missing"] == "no TXA here"
    assert not [word for word in ("Quill", "Dana", "M100", "19620304", "1EG4TE5MK73") if word in shown]
    assert "Quill" in answer(capsys, "mapping", "try", "emrs/hl7v2_generic", str(record), "--show-patient")
    record.write_bytes(registered + charged + signed)
    assert "AU" in answer(capsys, "mapping", "try", "emrs/hl7v2_generic", str(record))
    record.write_bytes(charged.replace(b"|CG|", b"|20261118|"))
    assert "Unreadable: FT1[1]-6" in answer(capsys, "mapping", "try", "emrs/hl7v2_generic", str(record), code=3)


def test_connectors(capsys: pytest.CaptureFixture[str]) -> None:
    names = {row["name"] for row in json.loads(answer(capsys, "connector", "list", "--json"))}
    assert {"fhir_r4", "medplum", "openemr"} <= names
    for name in names:
        assert json.loads(answer(capsys, "connector", "options", name, "--json"))["options"]
