"""Rows of a visit read by a mapping: what stands in them and nothing else; what cannot be trusted is refused by its line."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ptbridge.errors import RecordError
from ptbridge.intake import compile_mapping, normalize
from ptbridge.intake.trial import try_record
from ptbridge.model import SourceRecord, Visit
from ptbridge.specs.mapping_files import load_mapping

ZONE = ZoneInfo("America/Chicago")
PLAIN = compile_mapping(load_mapping("emrs/csv_charges"))
BASE = {
    "visit_id": "V1", "charge_id": "10", "service_date": "2026-11-19", "discipline": "PT", "place_of_service": "11",
    "patient_id": "P1", "patient_family": "Testerly", "patient_given": "Ada", "patient_birth_date": "1950-12-31",
    "address_line": "1 Sample St", "city": "Chicago", "state": "IL", "postal_code": "60601",
    "payer_id": "MCR-B", "member_id": "1EG4TE5MK73", "rendering_npi": "1234567893", "rendering_credential": "PT",
    "rendering_name": "Paula Kneewell", "referring_npi": "1999999984", "diagnosis_1": "M54.50", "diagnosis_2": "M25.561",
    "procedure": "97110", "minutes": "24", "units": "2", "modifiers": "GP, 59", "line_diagnoses": "M54.50;M25.561",
    "note_signed_at": "2026-11-19T18:00:00",
}  # fmt: skip


def record(
    *rows: dict[str, str], version: str = "charges.csv:2,3,4", media_type: str = "text/csv; charset=utf-8"
) -> SourceRecord:
    whole = [BASE | row for row in rows]
    lines = [",".join(whole[0]), *(",".join(f'"{cell}"' for cell in row.values()) for row in whole)]
    return SourceRecord(
        clinic="c",
        source="csv_charges",
        record_key="V1",
        media_type=media_type,
        payload="\n".join(lines).encode(),
        received_at=datetime.now(UTC),
        version=version,
    )


def read(*rows: dict[str, str], **options: Any) -> Visit:
    return normalize(record(*rows, **options), PLAIN, time_zone=ZONE)


def test_every_fact_of_the_plain_layout() -> None:
    visit = read({}, {"charge_id": "9", "procedure": "97140", "minutes": "15", "units": "1", "modifiers": ""})
    assert (visit.visit_id, visit.service_date, visit.discipline, visit.status) == ("V1", date(2026, 11, 19), "PT", "finished")
    assert visit.findings == () and visit.note_signed and visit.place_of_service == "11"
    assert (visit.patient.family, visit.patient.birth_date) == ("Testerly", date(1950, 12, 31))
    assert visit.patient.address and visit.patient.address.lines == ("1 Sample St",)
    assert [coverage.member_id for coverage in visit.coverages] == ["1EG4TE5MK73"]
    assert visit.rendering and (visit.rendering.npi, visit.rendering.credential) == ("1234567893", "PT")
    assert visit.referring and visit.referring.npi == "1999999984" and visit.assistant is None
    assert [diagnosis.code for diagnosis in visit.diagnoses] == ["M54.50", "M25.561"]
    first, second = visit.interventions  # by charge id, whatever the order of the rows
    assert (first.line_key, first.code, first.minutes, first.units_documented, first.modifiers) == ("9", "97140", 15, 1, ())
    assert (second.code, second.modifiers, second.diagnosis_codes) == ("97110", ("GP", "59"), ("M54.50", "M25.561"))


ABSENT = dict.fromkeys(
    ("payer_id", "member_id", "rendering_npi", "rendering_name", "minutes", "diagnosis_1", "diagnosis_2"), ""
)


def test_what_is_absent_stays_absent() -> None:
    visit = read(ABSENT | {"note_signed_at": "", "units": ""})
    assert visit.coverages == () and visit.rendering is None and visit.diagnoses == ()
    assert visit.note_signed is False and visit.status == "in-progress"
    assert (visit.interventions[0].minutes, visit.interventions[0].units_documented) == (None, None)


def test_one_unsigned_row_leaves_the_visit_unsigned() -> None:
    assert read({}, {"charge_id": "11", "note_signed_at": ""}).note_signed is False


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"procedure": "97110.0"}, "charges.csv:3: procedure: '97110.0' is a number as a spreadsheet spells it"),
        ({"procedure": "9.711E4"}, "charges.csv:3: procedure: '9.711E4' is a number"),
        ({"modifiers": "59.0"}, "charges.csv:3: modifiers: '59.0' is a number"),
        ({"member_id": "1.23457E+11"}, "charges.csv:3: member_id: is a number as a spreadsheet spells it"),
        ({"service_date": "2026-11-20"}, "service_date has 2 values on the rows of one visit"),
        ({"patient_id": "P2"}, "patient_id has 2 values on the rows of one visit"),
    ],
)
def test_a_row_that_cannot_be_trusted_refuses_the_visit(changed: dict[str, str], said: str) -> None:
    with pytest.raises(RecordError) as caught:
        read({}, {"charge_id": "11"} | changed)
    assert said in str(caught.value)
    assert "1.23457" not in str(caught.value)


def test_rows_that_disagree_otherwise_hold_the_visit_and_take_nobody_s_word() -> None:
    visit = read({}, {"charge_id": "11", "rendering_npi": "1999999984"})
    (found,) = [finding for finding in visit.findings if finding.code == "MP22"]
    assert found.holds and "rendering_npi has 2 values" in found.message
    assert visit.rendering is not None and visit.rendering.npi is None


def test_a_number_of_units_may_have_decimals_that_say_nothing_and_no_others() -> None:
    assert read({"units": "2.00"}).interventions[0].units_documented == 2
    visit = read({"units": "1.5"})
    assert visit.interventions[0].units_documented is None and visit.findings[0].code == "MP03"


def test_two_rows_of_one_charge_id_hold_the_visit() -> None:
    assert "MP18" in {finding.code for finding in read({}, {}).findings}


def test_an_unknown_code_names_the_table_where_it_belongs() -> None:
    (found,) = [finding for finding in read({"procedure": "KTAPE-9"}).findings if finding.holds]
    assert "KTAPE-9" in found.message


@pytest.mark.parametrize(
    ("media_type", "payload", "said"),
    [
        ("text/plain", b"charges.csv: control totals differ", "charges.csv: control totals differ"),
        ("application/fhir+json", b"{}", "this record is application/fhir+json"),
        ("text/csv; charset=utf-8", b"", "payload"),
        ("text/csv; charset=utf-8", ",".join(BASE).encode() + b"\n", "no row"),
        ("text/csv; charset=utf-8", ",".join(BASE).encode() + b"\nV1,10\n", "a.csv:7: the row has 2 cells"),
        ("text/csv; charset=klingon", b"a,b\n", "payload"),
    ],
)
def test_what_is_no_visit_is_refused(media_type: str, payload: bytes, said: str) -> None:
    whole = SourceRecord(
        clinic="c",
        source="s",
        record_key="k",
        media_type=media_type,
        payload=payload,
        received_at=datetime.now(UTC),
        version="a.csv:7",
    )
    with pytest.raises(RecordError) as caught:
        normalize(whole, PLAIN, time_zone=ZONE)
    assert said in str(caught.value)


def test_a_clinic_s_own_column_names_dates_and_empty_words(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "mapping: own\nextends: emrs/csv_charges\nextract: {dates: [MM/DD/YYYY], empty: ['NULL', '-'], delimiter: pipe}\n"
        "visit: {service_date: {take: DOS}}\ncoverages: {each: payer_id, member_id: {take: member_id}}\n"
    )
    compiled = compile_mapping(load_mapping(path))
    row = BASE | {"member_id": "NULL", "modifiers": "-"}
    row["DOS"] = "11/19/2026"
    payload = "|".join(row) + "\n" + "|".join(row.values()).replace("GP, 59", "GP")
    whole = record({})
    found = normalize(
        SourceRecord(
            clinic="c", source="s", record_key="V1", media_type="text/csv; charset=utf-8",
            payload=payload.encode(), received_at=whole.received_at,
        ),
        compiled,
        time_zone=ZONE,
    )  # fmt: skip
    assert found.service_date == date(2026, 11, 19)
    assert found.coverages[0].member_id is None and found.interventions[0].modifiers == ()


def test_mapping_try_shows_each_field_with_its_column_and_no_patient() -> None:
    rows = {row.field: row for row in try_record(record({}), PLAIN, time_zone=ZONE)}
    assert (rows["interventions.code"].value, rows["interventions.code"].path) == ("CPT|97110", "procedure")
    assert rows["visit.service_date"].path == "service_date"
    assert "Testerly" not in str(rows)
