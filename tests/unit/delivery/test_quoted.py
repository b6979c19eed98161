"""What counts as a code, and what is a word of the charge in a code's place (contract S3)."""

from __future__ import annotations

import pytest

from ptbridge.delivery.quoted import NOT_A_CODE, unquoted
from ptbridge.model import Acknowledgement, Disposition

JSON = b'{"patient": {"family": "Quill", "mrn": "M-10077", "sex": "F"}, "code": "97110", "member-id": null, "zip":"43215"}'
X12 = b"NM1*QC*1*QUILL*DANA****MI*1EG4TE5MK73~DMG*D8*19620304*F~"


def answered(code: str, text: str = "no", body: bytes = JSON) -> Acknowledgement:
    given = Acknowledgement(
        disposition=Disposition.REJECTED, destination_id="d", native_code=code, native_text=text, retry_after_seconds=3.0
    )
    found = unquoted(given, body)
    assert (found.disposition, found.destination_id, found.retry_after_seconds) == (given.disposition, "d", 3.0)
    return found


@pytest.mark.parametrize(
    "code", ["", "422", "not-billable", "A7:562", "AE 207", "sex", "patient", "code", "member-id", "F", "x" * 64, "Quil"]
)
def test_a_code_stays_word_for_word(code: str) -> None:
    assert answered(code) == answered(code) and answered(code).native_code == code
    assert answered(code).native_text == "no"


@pytest.mark.parametrize(
    "code",
    [
        *("Quill", "QUILL", "unknown: quill", "M-10077", "97110", "43215", "1939-05-15", "19390515", "2026-11-02"),
        *("x" * 65, "two\nlines", "Quíll", "tab\t"),
    ],
)
def test_a_word_of_the_charge_a_date_or_a_text_goes_to_the_text_beside_it(code: str) -> None:
    found = answered(code)
    assert (found.native_code, found.native_text) == (NOT_A_CODE, f"{code}: no")
    assert "Quill" not in repr(found)
    assert answered(code, text="").native_text == code


@pytest.mark.parametrize(("code", "stays"), [("DANA", False), ("1eg4te5mk73", False), ("1EG4", True), ("3939-05-15", True)])
def test_a_word_is_whole_between_any_delimiters(code: str, stays: bool) -> None:
    assert (answered(code, body=X12).native_code == code) is stays


@pytest.mark.parametrize(
    "body", [b'{"status":"billable"}', b'{"Status" : "Billable"}', b'{"x": 1, "billable_status": "BILLABLE"}']
)
def test_the_status_that_was_asked_for_is_a_code_when_it_comes_back(body: bytes) -> None:
    assert answered("billable", body=body).native_code == "billable"


@pytest.mark.parametrize(
    "body", [b'{"status":"billable","family":"Billable"}', b'{"marital_status":"billable"}', b'{"status":["billable"]}']
)
def test_the_same_word_anywhere_else_is_a_word_of_the_charge(body: bytes) -> None:
    assert answered("billable", body=body).native_code == NOT_A_CODE
