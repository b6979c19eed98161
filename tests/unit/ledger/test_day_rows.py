"""The rows of a treatment day: what they show of a patient, and what is left out of a verdict."""

from __future__ import annotations

import pytest

from ptbridge.ledger import DayRow, Decision, LiveCharge, Verdict
from ptbridge.model import ShownLine

ROW = DayRow(
    id=1,
    clinic="riverside",
    day_key="2026-11-20|PT|1234567893|secret",
    reference="pt-1",
    service_date="2026-11-20",
    state="sent",
    reason=None,
    held_since=None,
    revision=1,
    live_sha256=b"c",
    live_id="B-7",
    live_units=2,
    live_cents=9000,
    version_id=1,
    payer_claim_number="secret",
)


@pytest.mark.parametrize(
    "one",
    [
        ROW,
        LiveCharge(body=b"secret", lines=(ShownLine(procedure="97110", modifiers=(), units=1, amount_cents=4500),)),
        Verdict(state="held", body=b"secret", visits_sha256=b"v", authorization_number="secret"),
    ],
)
def test_what_names_a_patient_is_not_shown(one):
    assert "secret" not in repr(one) and type(one).__name__ in repr(one)


def test_a_verdict_that_says_no_more_bills_nothing_and_asks_for_nothing():
    one = Verdict(state="held", body=b"", visits_sha256=b"v")
    assert (one.lines, one.units, one.amount_cents, one.billed, one.visit_types) == (0, 0, 0, (), ())
    assert (one.reason, one.payer, one.discipline, one.submission, one.content_sha256) == (None,) * 5
    assert (one.closes_reference, one.judge_after, one.by_hand, one.gone, one.window_seconds) == (
        False,
        False,
        False,
        False,
        0.0,
    )


def test_a_day_whose_reference_no_void_ended_is_of_the_first_generation():
    assert (ROW.generation, ROW.live_reference, ROW.live_frequency, ROW.stage, ROW.standing) == (0, None, None, None, None)


@pytest.mark.parametrize(("codes", "counts"), [("SB01 at:2", True), ("SB01 at:22", False), ("SB01", True), ("", True)])
def test_a_word_is_about_the_day_after_so_many_submissions(codes: str, counts: bool) -> None:
    """What an older ledger kept does not say."""
    said = Decision("done", b"v", frozenset(codes.split()), "by phone", "owner")
    assert said.counts_at(2) is counts
