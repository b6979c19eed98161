"""Authorizations as files bring them in and as a person asks for them."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from ptbridge.errors import ConfigError
from ptbridge.jobs.authorization_files import COLUMNS, Imported, read_file
from ptbridge.jobs.authorizations import masked, standing
from ptbridge.ledger import Use
from ptbridge.policy.history import Authorization

TODAY = date(2026, 11, 20)
HEAD = ",".join(COLUMNS)
GOOD = "authorization,pat-1,,A-1234,acme,PT,visits,12,97110 97140,2026-01-01,2026-06-30,,,,,letter"
OPENING = "kx_opening,,M-7,,,,,,,,,2026,PT_SLP,1500.00,2026-09-30,271"


def key_of(patient: str, mrn: str) -> str | None:
    return f"key of {patient}" if patient else {"M-7": "key of pat-7"}.get(mrn)


def read(folder: Path, text: str, name: str = "file.csv") -> Imported:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_file(path, key_of, frozenset({"acme"}))


def test_a_csv_of_both_kinds_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, f"\ufeff{HEAD}\n{GOOD}\n{OPENING}\n")
    ((key, one, source),) = found.authorizations
    assert (key, source) == ("key of pat-1", "letter")
    assert one == Authorization(
        number="A-1234",
        payer="acme",
        discipline="PT",
        counts="visits",
        allowed=12,
        codes=frozenset({"97110", "97140"}),
        valid_from=date(2026, 1, 1),
        valid_to=date(2026, 6, 30),
    )
    (opening,) = found.openings
    assert (opening.patient_key, opening.amount_cents, opening.group) == ("key of pat-7", 150_000, "PT_SLP")


def test_dollars_are_an_authorization_in_cents_and_empty_means_any(tmp_path: Path) -> None:
    found = read(tmp_path, "kind,patient,number,counts,allowed\nauthorization,p,A,cents,1500.50\n")
    one = found.authorizations[0][1]
    assert (one.allowed, one.payer, one.discipline, one.codes, one.valid_to) == (150_050, None, None, frozenset(), None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (GOOD.replace("authorization", "auth", 1), "kind: 'auth' is not one of"),
        (GOOD.replace("pat-1", ""), "write exactly one"),
        (GOOD.replace("pat-1,", "pat-1,M-7"), "write exactly one"),
        (OPENING.replace("M-7", "M-8"), "no visit of a patient with this record number"),
        (GOOD.replace("A-1234", ""), "number: is missing"),
        (GOOD.replace("acme", "nobody"), "no policy 'nobody'. Known: acme"),
        (GOOD.replace(",PT,", ",XX,"), "discipline: 'XX'"),
        (GOOD.replace("visits", "weeks"), "counts: 'weeks'"),
        (GOOD.replace(",12,", ",12.5,"), "allowed: '12.5' is not a whole number"),
        (GOOD.replace("97140", "971"), "codes: write procedure codes"),
        (GOOD.replace("2026-06-30", "2025-06-30"), "to: is before from"),
        (GOOD.replace("2026-06-30", "June"), "Invalid isoformat"),
        (GOOD.replace("2026-06-30,", "2026-06-30,2026"), "year: does not belong"),
        (OPENING.replace("PT_SLP", "PT"), "group: 'PT'"),
        (OPENING.replace("2026,PT", "2025,PT"), "year: '2025' is not the year of as_of"),
        (OPENING.replace("1500.00", "-3"), "below zero"),
        (OPENING.replace(",,M-7,,", ",,M-7,A,"), "number: does not belong"),
        (GOOD + ",more", "more columns"),
    ],
)
def test_a_wrong_row_is_refused_with_its_line_and_never_with_the_patient(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"file\.csv:3: ") as refused:
        read(tmp_path, f"{HEAD}\n{GOOD}\n{row}\n")
    assert message in str(refused.value)
    assert "pat-1" not in str(refused.value) and "M-8" not in str(refused.value)


@pytest.mark.parametrize("text", ["patient,number\n", "kind,surprise\n", ""])
def test_an_unknown_first_line_names_the_known_columns(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"file\.csv:1: columns must be of kind,patient"):
        read(tmp_path, text)


def response(**changes: object) -> dict[str, object]:
    item = {
        "quantity": {"value": 12, "code": "{visit}"},
        "productOrService": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "97110"}]},
    }
    return {
        "resourceType": "ClaimResponse",
        "status": "active",
        "use": "preauthorization",
        "outcome": "complete",
        "patient": {"reference": "https://emr.example/fhir/Patient/pat-1"},
        "preAuthRef": "A-99",
        "preAuthPeriod": {"start": "2026-01-01", "end": "2026-06-30T00:00:00Z"},
        "addItem": [item],
    } | changes


def test_a_bundle_and_ndjson_of_claim_responses_give_authorizations(tmp_path: Path) -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": response()}, {"resource": response(use="claim")}, {}]}
    for text, name in (
        (json.dumps(bundle), "a.json"),
        (json.dumps(response()) + "\n\n", "a.ndjson"),
        (json.dumps(response()), "b.json"),
    ):
        ((key, one, source),) = read(tmp_path, text, name).authorizations
        assert (key, source, one.number, one.counts, one.allowed) == ("key of pat-1", name, "A-99", "visits", 12)
        assert (one.codes, one.valid_to) == (frozenset({"97110"}), date(2026, 6, 30))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"outcome": "queued"}, "approved"),
        ({"status": "cancelled"}, "approved"),
        ({"preAuthRef": None}, "no preAuthRef"),
        ({"patient": {}}, "no preAuthRef, or no patient"),
        ({"addItem": []}, "write it into a CSV"),
        ({"addItem": [{"quantity": {"value": 1.5, "unit": "visits"}}]}, "write it into a CSV"),
        ({"addItem": [{"quantity": {"value": 2, "unit": "boxes"}}]}, "write it into a CSV"),
    ],
)
def test_what_a_response_does_not_say_is_never_guessed(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    found = read(tmp_path, json.dumps(response(**changes)), "a.json")
    assert found.authorizations == [] and reason in found.left_out[0]


@pytest.mark.parametrize("text", ["{", "[]", "\n3"])
def test_what_is_no_fhir_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="nothing was imported"):
        read(tmp_path, text, "a.ndjson")


def visits(*days_ago: int, sent: bool = True) -> list[tuple[Use, int]]:
    return [
        (Use(on=TODAY - timedelta(days=ago), discipline="PT", payer="acme", sent=sent, number=None, lines=()), 1)
        for ago in days_ago
    ]


@pytest.mark.parametrize(
    ("allowed", "taken", "valid_to", "runs_out", "why"),
    [
        (12, visits(1, 3, 8, 10, 15, 17, 22, 24), None, TODAY + timedelta(days=14), "used up at this frequency"),
        (12, visits(1, 3, 8, 10, 15, 17, 22, 24), TODAY + timedelta(days=4), TODAY + timedelta(days=5), "its last day"),
        (8, visits(1, 3, 8, 10, 15, 17, 22, 24), None, TODAY, "used up"),
        (12, visits(28, 40), None, None, "no visits in four weeks"),
        (12, [], TODAY, TODAY + timedelta(days=1), "its last day"),
    ],
)
def test_who_runs_out_and_when(
    allowed: int, taken: list[tuple[Use, int]], valid_to: date | None, runs_out: date | None, why: str
) -> None:
    found = standing("c", Authorization(number="A-123456", allowed=allowed, valid_to=valid_to), taken, TODAY)
    assert (found.runs_out, found.why) == (runs_out, why)
    assert found.left == allowed - len(taken)


def test_in_flight_is_apart_and_the_number_is_masked() -> None:
    found = standing("c", Authorization(number="A-123456", allowed=9), visits(1) + visits(2, 3, sent=False), TODAY)
    assert (found.used, found.in_flight, found.left, found.number) == (1, 2, 6, "…3456")
    assert [masked(number) for number in ("12345", "1", "")] == ["…45", "…", "…"]
