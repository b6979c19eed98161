"""A biller that answers everybody with an error of its own (5xx): few charges come into doubt, and nobody is asked to retry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ptbridge.delivery.pace import Gate
from ptbridge.delivery.policy import RetryPolicy
from ptbridge.delivery.verdict import is_failure
from ptbridge.model import Acknowledgement, Disposition, Submission

from .test_outage import BUSY, DAY_SECONDS, Site, most_in

ERROR = Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="500")
POLICY = RetryPolicy()
IN_FLIGHT = 16


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path / "state")
    yield one
    one.ledger.close()


def taking(site: Site) -> set[str]:
    """From now on the biller takes each charge and has an error all the same, until `trouble` is over; what it has taken."""
    there: set[str] = set()
    submit = site.biller.submit

    async def taken(submission: Submission) -> Acknowledgement:
        if site.biller.trouble is not None:
            there.add(submission.reference)
            return await submit(submission)
        if submission.reference in there:
            return Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="as before")  # its key is known
        there.add(submission.reference)
        return await submit(submission)

    async def find(submission: Submission) -> Acknowledgement | None:
        found = submission.reference in there
        return Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="found") if found else None

    site.biller.submit, site.biller.find = taken, find  # type: ignore[method-assign]
    return there


@pytest.mark.parametrize("taken", [False, True])
def test_weeks_of_errors_for_everybody_put_few_in_doubt_and_need_nobody(site: Site, taken: bool) -> None:
    there = taking(site) if taken else set()
    site.queue(1000)
    site.biller.trouble = ERROR
    first = site.run()
    assert (first.ended, first.accepted, dict(first.held)) == ("failing", 0, {})
    assert site.states()["in-doubt"] <= POLICY.error_answers + IN_FLIGHT + 2
    assert len(site.biller.tries) <= POLICY.error_answers + IN_FLIGHT + 2
    before = len(site.biller.tries)
    for _ in range(30):
        site.clock.at += DAY_SECONDS
        assert site.run().ended == "failing"
    assert len(site.biller.tries) - before <= 30 * 3 and most_in(29.9, site.biller.tries[before:]) == 1
    assert site.states().keys() == {"queued", "in-doubt"} and site.states()["in-doubt"] < 130
    site.biller.trouble = None
    site.clock.at += DAY_SECONDS
    back = site.run()
    assert (back.accepted, dict(back.held), back.ended) == (1000, {}, "done"), "nobody had to say retry"
    arrived = Counter(site.biller.order)
    assert set(arrived) | there == set(site.queued) and set(arrived.values()) == {1}, "each once"


@pytest.mark.parametrize("few", [2, 6])
def test_few_charges_are_not_used_up_either(site: Site, few: int) -> None:
    site.queue(few)
    site.biller.trouble = ERROR
    for _ in range(20):
        report = site.run()
        assert not report.held
        site.clock.at += DAY_SECONDS
    assert site.states() == {"in-doubt": few}
    site.biller.trouble = None
    assert site.run().accepted == few


def test_one_charge_that_always_meets_an_error_is_given_up_though_the_others_are_served(site: Site) -> None:
    site.queue(1)
    took = site.biller.submit

    async def submit(submission: Submission) -> Acknowledgement:
        return ERROR if submission.reference == site.queued[0] else await took(submission)

    site.biller.submit = submit  # type: ignore[method-assign]
    for _ in range(13):
        site.queue(3)
        begun = site.clock.now()
        site.run(policy=RetryPolicy(idle_seconds=0))
        assert site.biller.arrived[-1][1] - begun < 1, "it delays nobody"
        site.clock.at += 3600
    assert site.states() == {"held": 1, "accepted": 39}


def test_some_that_meet_an_error_in_a_row_keep_the_others_waiting_no_longer_than_one_that_works(site: Site) -> None:
    """A fault at the biller that only some charges meet, and these came first: each probe is of another charge."""
    site.queue(60)
    bad, took = set(site.queued[:13]), site.biller.submit

    async def submit(submission: Submission) -> Acknowledgement:
        return ERROR if submission.reference in bad else await took(submission)

    site.biller.submit = submit  # type: ignore[method-assign]
    assert (site.run(in_flight=1).ended, site.states()) == ("failing", {"queued": 48, "in-doubt": 12})
    site.clock.at += 60
    begun = site.clock.now()
    site.run(in_flight=1)
    assert site.states() == {"accepted": 47, "in-doubt": 13}
    assert 30 <= site.biller.arrived[-1][1] - begun < 35


def test_errors_between_answers_pause_nobody(site: Site) -> None:
    """Each second one, as in a brown-out."""
    site.queue(100)
    odd, took = set(site.queued[::2]), site.biller.submit

    async def submit(submission: Submission) -> Acknowledgement:
        if submission.reference in odd:
            odd.discard(submission.reference)
            return ERROR
        return await took(submission)

    site.biller.submit = submit  # type: ignore[method-assign]
    assert site.run(in_flight=1).accepted == 100


def test_what_was_asked_whether_it_works_again_and_has_an_error_shuts_again() -> None:
    gate = Gate(POLICY)
    gate.suspect()
    gate.failing(1, now=100.0)
    assert (gate.is_open, gate.is_busy, gate.is_failing, gate.wait_seconds(100.0)) == (False, True, True, 30.0)
    gate.failing(1, now=130.0)
    assert gate.wait_seconds(130.0) == 30.0 and gate.shut_seconds == 60.0
    gate.busy(2, now=160.0, retry_after_seconds=5.0)
    assert gate.is_busy and not gate.is_failing and gate.wait_seconds(160.0) == 30.0, "now it says so itself"
    gate.answered()
    gate.failing(1, now=200.0)
    assert not gate.is_busy and not gate.is_failing


@pytest.mark.parametrize(
    ("ids", "shut"),
    [([7] * 50, False), ([*range(9)], False), ([*range(10)], True), ([1, 2] * 5, True), ([1, 2] * 4 + [1], False)],
)
def test_errors_in_a_row_to_more_than_one_shut_the_gate(ids: list[int], shut: bool) -> None:
    gate = Gate(POLICY)
    for id_ in ids:
        gate.failing(id_, now=100.0)
    assert gate.is_busy is gate.is_failing is shut and gate.wait_seconds(100.0) == (30.0 if shut else 0.0)


def test_an_answer_between_them_begins_the_count_anew() -> None:
    gate = Gate(POLICY)
    for id_ in range(9):
        gate.failing(id_, now=100.0)
    gate.answered()
    for id_ in range(9):
        gate.failing(id_, now=100.0)
    assert not gate.is_busy
    gate.failing(1, now=100.0)
    assert gate.is_busy, "the tenth try, not the tenth charge"
    gate.answered()
    for _ in range(20):
        gate.failing(1, now=200.0)
    assert not gate.is_busy, "one charge alone: the others were served meanwhile"


@pytest.mark.parametrize(
    ("code", "failed"),
    [("500", True), ("599", True), ("503 x", False), ("lost-answer", False), ("404", False), ("not-there-yet", False)],
)
def test_what_counts_as_an_error_of_the_platforms_own(code: str, failed: bool) -> None:
    assert is_failure(Acknowledgement(disposition=Disposition.IN_DOUBT, native_code=code)) is failed
    assert not is_failure(BUSY) and not is_failure(Acknowledgement(disposition=Disposition.REJECTED, native_code="500"))


def test_who_waits_within_patience_is_served_in_the_same_run(rig: Any) -> None:
    for number in range(30):
        rig.put(f"D{number}")
        rig.biller.script[f"D{number}"] = [ERROR] if number < 10 else []
    report = rig.deliver(in_flight=1, policy=POLICY)
    assert report.accepted == 30 and report.ended == "done"
