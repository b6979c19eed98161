"""Places where a small wrong change of delivery once passed every other test (tests/mutate.py)."""

from __future__ import annotations

import asyncio
import logging

import pytest

from ptbridge.delivery import DeliveryReport, RetryPolicy, SystemClock, verdict
from ptbridge.delivery.attempt import Attempts
from ptbridge.delivery.commits import GroupCommit
from ptbridge.delivery.pace import Gate, Pace, RetryBudget
from ptbridge.delivery.verdict import Waits
from ptbridge.errors import LedgerError, OutcomeUnknown, PeerRefused, PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.ports import Capabilities, OutboxItem

POLICY = RetryPolicy()
RETRY = Acknowledgement(disposition=Disposition.RETRY, native_code="busy")
DOUBT = Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="500")
REJECTED = Acknowledgement(disposition=Disposition.REJECTED, native_code="bad-npi", native_text="no such provider")
FOUND = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="B9")
AWAY = PeerUnavailable("no connection")
KEYED = Capabilities(idempotency_seconds=82_800)


def codes(rig, id_=1):
    return [answer.native_code for answer in rig.outbox.rows[id_].answers]


@pytest.mark.parametrize(("status", "code"), [(401, "401"), (None, "refused")])
def test_a_refusal_is_kept_under_its_status(rig, status, code):
    rig.put("A")
    rig.biller.script["A"] = [PeerRefused("no", status=status)]
    rig.deliver()
    assert codes(rig) == [code]


def test_a_lost_answer_and_a_missing_connection_are_kept_by_name(rig, make_rig):
    rig.put("A")
    rig.biller.script["A"] = [OutcomeUnknown("lost"), AWAY]
    rig.deliver()
    assert codes(rig)[:2] == ["lost-answer", "no-connection"]
    batch = make_rig(Capabilities(find=True, batch=True))
    batch.put("A")
    batch.biller.script["A"] = [OutcomeUnknown("lost")]
    batch.deliver()
    assert codes(batch) == ["lost-answer"]


def test_a_fault_of_the_destination_is_logged_without_what_it_says(rig, caplog):
    rig.put("A")
    rig.biller.script["A"] = [ZeroDivisionError("Jane Roe")]
    with caplog.at_level(logging.ERROR):
        rig.deliver()
    assert "submission 1: ZeroDivisionError" in caplog.text and "Jane" not in caplog.text


def test_a_refused_replay_that_nobody_can_look_up_is_a_persons(make_rig):
    rig = make_rig(KEYED)
    rig.put("A")
    rig.put("B")
    rig.biller.script["A"] = [DOUBT, REJECTED]
    rig.biller.script["B"] = [REJECTED]
    rig.deliver()
    assert (rig.outbox.rows[1].reason, rig.outbox.rows[2].reason) == ("in-doubt", "rejected:bad-npi")
    last = rig.outbox.rows[1].answers[-1]
    assert last.disposition is Disposition.IN_DOUBT and last.native_text.endswith("Ask the biller. no such provider")


def test_a_platform_that_answers_is_not_away(rig):
    """Four without a connection, an answer, and one more: no five in a row."""
    for number in range(6):
        rig.put(f"D{number}")
        rig.biller.script[f"D{number}"] = [] if number == 4 else [AWAY]
    report = rig.deliver(in_flight=1, policy=RetryPolicy(idle_seconds=1e6))
    assert (report.ended, report.accepted) == ("done", 6)


def test_a_doubt_of_this_run_counts_from_the_lost_answer_and_ends_with_an_answer(make_rig):
    """The lag of a look-up is counted from when the answer was lost, not from the start of the run."""
    rig = make_rig(Capabilities(find=True, find_lag_seconds=60))
    rig.put("A", order_key="K", revision=1)
    rig.put("A", order_key="K", revision=2)
    rig.biller.seconds_of["A"] = 100.0
    rig.biller.script["A"] = [DOUBT]
    rig.deliver(deadline=3600)
    submits = [at for what, *_, at in rig.biller.calls if what == "submit"]
    assert len(submits) == 3 and submits[1] - submits[0] >= 160
    finds = [at for what, *_, at in rig.biller.calls if what == "find"]
    assert len(finds) <= 3, "too early to believe it is no new doubt"


def test_the_second_attempt_waits_twice_the_first(rig):
    rig.put("A")
    rig.biller.script["A"] = [RETRY, RETRY]
    rig.deliver()
    first, second, third = [at for *_, at in rig.biller.calls]
    assert (round(second - first, 1), round(third - second, 1)) == (1.0, 2.0)


def test_an_outcome_is_due_after_the_longest_of_its_waits(rig):
    rig.put("A")
    item = OutboxItem(id=1, submission=rig.outbox.rows[1].item.submission, in_doubt=True)
    busy = Acknowledgement(disposition=Disposition.RETRY, native_code="429", retry_after_seconds=7)
    for waits, due in ((Waits(backoff=1, budget=9), 109), (Waits(backoff=1, budget=2), 107), (Waits(backoff=8, budget=2), 108)):
        assert verdict.outcome(item, busy, waits, POLICY, now=100.0).next_at == due
    tired = OutboxItem(id=1, submission=item.submission, in_doubt=True, attempts=11)
    assert verdict.outcome(tired, busy, Waits(backoff=1, budget=0), POLICY, now=100.0).hold_reason == "in-doubt"
    one_left = OutboxItem(id=1, submission=item.submission, attempts=10)
    assert verdict.outcome(one_left, busy, Waits(backoff=1, budget=0), POLICY, now=100.0).hold_reason is None


@pytest.mark.parametrize(
    ("window", "age", "fresh"),
    [
        (82_800, 0, True),
        (82_800, -0.5, False),
        (82_800, 82_499, True),
        (82_800, 82_500, False),
        (100, 89, True),
        (100, 90, False),
    ],
)
def test_a_key_is_fresh_until_the_margin_before_its_window_closes(rig, window, age, fresh):
    """The margin is five minutes, or a tenth of a short window."""
    rig.put("A")
    item = OutboxItem(id=1, submission=rig.outbox.rows[1].item.submission, in_doubt=True, first_attempt_at=1000.0)
    can = Capabilities(idempotency_seconds=window)
    assert verdict.key_is_fresh(item, can, POLICY, now=1000.0 + age) is fresh


def test_an_item_is_old_after_sixty_days_and_not_before(rig):
    rig.put("A")
    item = OutboxItem(id=1, submission=rig.outbox.rows[1].item.submission, first_attempt_at=0.0)
    assert not verdict.too_old(item, POLICY, now=60 * 86_400.0) and verdict.too_old(item, POLICY, now=60 * 86_400.0 + 1)


def test_the_report_counts_attempts_retries_and_look_ups(make_rig):
    rig = make_rig(Capabilities(find=True))
    for name in ("A", "B"):
        rig.put(name)
    rig.biller.script["A"] = [RETRY, RETRY, DOUBT]
    rig.biller.found["A"] = [FOUND]
    report = rig.deliver()
    assert (report.attempts, report.retries, report.look_ups, report.doubts, report.postponed) == (5, 3, 1, 1, 3)
    empty = make_rig(KEYED).deliver()
    assert (empty.attempts, empty.retries, empty.look_ups, empty.held.total()) == (0, 0, 0, 0)


def test_the_budget_earns_with_time():
    budget = RetryBudget(POLICY, now=0.0)
    for _ in range(20):
        budget.book(0.0)
    assert budget.book(0.0) == pytest.approx(5.5) and budget.book(10.0) == 0.0


def test_time_earns_what_first_calls_do_not():
    def left(first_calls):
        """How many retries are free after ten seconds with so many first calls, from an empty reserve."""
        budget = RetryBudget(POLICY, now=0.0)
        for _ in range(10):
            budget.book(0.0)
        for _ in range(first_calls):
            budget.first_call()
        return sum(budget.book(10.0) == 0.0 for _ in range(99))

    assert [left(0), left(20), left(100)] == [10, 10, 10], "two a second, up to the reserve"
    busy = RetryBudget(POLICY, now=0.0)
    for second in range(1, 101):
        for _ in range(100):
            busy.first_call()
        for _ in range(12):
            wait = busy.book(float(second))
    owed = 100 * (12 - 10)  # the reserve was full when the first calls began to earn
    assert wait == pytest.approx(owed / 10), "a tenth of the first calls, and nothing for the time"
    assert sum(busy.book(240.0) == 0.0 for _ in range(12)) == 10, "once it is quiet, time earns again"


def test_a_debt_is_paid_at_the_larger_of_both_rates():
    budget = RetryBudget(POLICY, now=0.0)
    for _ in range(1000):
        budget.first_call()
    waits = [budget.book(10.0) for _ in range(20)]
    assert waits[10] == pytest.approx(1 / 10) and waits[19] == pytest.approx(1.0), "a hundred a second pay ten"


def test_busy_items_are_counted_anew_after_an_answer_and_after_a_pause():
    gate = Gate(POLICY)
    for id_ in range(4):
        gate.busy(id_, 100.0, 12.0)
    gate.answered()
    gate.busy(4, 100.0, 12.0)
    assert gate.wait_seconds(100.0) == 0
    for id_ in range(5, 9):
        gate.busy(id_, 100.0, 12.0)
    assert gate.wait_seconds(100.0) == 12
    gate.busy(9, 200.0, 12.0)
    assert gate.wait_seconds(200.0) == 30 and gate.width == 1, "one asks, and everybody waits until the next may"
    gate.busy(10, 230.0, 45.0)
    assert gate.wait_seconds(230.0) == 45, "or as long as the platform says"
    gate.answered()
    gate.busy(11, 300.0, 12.0)
    assert gate.wait_seconds(300.0) == 0 and gate.width is None, "a pause takes five again"


def test_a_busy_platform_is_no_absent_one():
    gate = Gate(POLICY)
    for id_ in range(5):
        gate.unreachable(id_, 100.0)
    gate.busy(5, 140.0, 1.0)
    assert not gate.is_open and gate.is_busy and gate.wait_seconds(140.0) == 30, "it is there, and serves nobody yet"
    for id_ in range(4):
        gate.unreachable(id_, 140.0)
    assert not gate.is_open, "five in a row count from the answer"


def test_one_turn_of_the_loop_asks_for_one_commit(rig, monkeypatch):
    commits = GroupCommit(rig.outbox, rig.clock)
    asked = []

    async def scene():
        for name in "ABC":
            rig.put(name)
        items = rig.outbox.due(now=rig.clock.now(), limit=9)
        whole = commits._commit
        monkeypatch.setattr(commits, "_commit", lambda: (asked.append(1), whole()))
        await asyncio.gather(*(commits.start(item) for item in items))

    asyncio.run(scene())
    assert asked == [1] and rig.outbox.journal == [("start", (1, 2, 3))]


def test_a_batch_with_one_item_left_for_later_ends(make_rig):
    rig = make_rig(Capabilities(find=True, batch=True))
    rig.put("A")
    rig.put("B")
    rig.biller.script["A"] = [RETRY]
    report = rig.deliver()
    assert (report.ended, report.accepted, rig.outbox.states()) == ("breaker-open", 1, ["queued", "accepted"])


def test_the_real_clock_sleeps():
    clock = SystemClock()

    async def nap():
        before, wall = clock.monotonic(), clock.now()
        await clock.sleep(0.02)
        return clock.monotonic() - before, clock.now() - wall

    slept, _ = asyncio.run(nap())
    assert slept >= 0.019


def opened(rig):
    """A pace whose breaker has just opened."""
    pace = Pace.new(POLICY, rig.clock.monotonic())
    for number in range(5):
        rig.put(f"D{number}")
        rig.biller.script[f"D{number}"] = [AWAY]
    before = rig.clock.now()
    assert rig.deliver(in_flight=1, pace=pace).ended == "breaker-open"
    assert rig.clock.now() - before < 30, "a run does not wait for the probe"
    return pace


def test_while_the_breaker_is_open_nothing_is_tried_and_after_its_wait_one_probe_passes(rig):
    pace = opened(rig)
    rig.clock.at += 29.2 - (30 - pace.gate.wait_seconds(rig.clock.monotonic()))
    calls = len(rig.biller.calls)
    assert rig.deliver(pace=pace).ended == "breaker-open" and len(rig.biller.calls) == calls, "with less than a second to go"
    rig.clock.at += 1
    report = rig.deliver(pace=pace)
    assert (report.ended, report.accepted) == ("done", 5)


def test_a_pause_of_half_a_second_is_one(rig):
    pace = Pace.new(POLICY, rig.clock.monotonic())
    for id_ in range(5):
        pace.gate.busy(id_, rig.clock.monotonic(), 0.5)
    rig.put("A")
    began = rig.clock.now()
    assert rig.deliver(pace=pace).accepted == 1
    assert rig.biller.calls[0][-1] - began >= 0.5


def test_a_retry_as_far_away_as_patience_is_waited_for(rig):
    rig.put("A")
    rig.biller.script["A"] = [Acknowledgement(disposition=Disposition.RETRY, native_code="429", retry_after_seconds=64)]
    assert rig.deliver(policy=RetryPolicy(idle_seconds=64.0)).ended == "done"


def test_never_more_in_flight_than_allowed_however_long_each_takes(rig):
    for number in range(30):
        rig.put(f"D{number}")
        rig.biller.seconds_of[f"D{number}"] = 0.1 + number % 7
    rig.deliver(in_flight=3)
    assert rig.biller.most_at_once == 3 and rig.outbox.states() == ["accepted"] * 30


def test_a_call_that_never_ends_is_cut_off_and_in_doubt(rig):
    rig.put("A")
    rig.biller.seconds = 1e7
    began = rig.clock.now()
    report = rig.deliver(deadline=10)
    assert (report.ended, report.doubts, rig.outbox.states()) == ("deadline", 1, ["in-doubt"])
    assert rig.clock.now() - began == pytest.approx(10 + POLICY.longest_call_seconds)
    assert codes(rig) == ["cut-off"]


def test_a_call_is_waited_for_until_the_last_moment(rig):
    """The wait goes on after another call has ended in its last second."""
    rig.put("A")
    rig.put("B")
    rig.biller.seconds_of = {name: 10 + POLICY.longest_call_seconds - early for name, early in (("A", 0.6), ("B", 0.3))}
    assert rig.deliver(deadline=10).accepted == 2


def test_an_answer_after_the_deadline_that_cannot_be_stored_is_not_passed_over(rig, monkeypatch):
    def full(outcomes, *, now):
        raise LedgerError("the disk gave up")

    rig.put("A")
    rig.biller.seconds = 20
    monkeypatch.setattr(rig.outbox, "finish", full)
    with pytest.raises(LedgerError, match="the disk gave up"):
        rig.deliver(deadline=10)


def test_a_call_that_is_cut_off_has_ended_before_the_outbox_is_told(rig, monkeypatch):
    finish, still_running = rig.outbox.finish, []

    def told(outcomes, *, now):
        still_running.append(rig.biller._at_once)
        finish(outcomes, now=now)

    rig.put("A")
    rig.biller.seconds = 1e7
    monkeypatch.setattr(rig.outbox, "finish", told)
    rig.deliver(deadline=10)
    assert still_running == [0]


def test_only_first_attempts_pay_for_retries(rig, make_rig):
    """A hundred first calls earn ten retries; a retry earns none."""
    pace = Pace.new(POLICY, rig.clock.monotonic())
    for _ in range(20):
        pace.budget.book(rig.clock.monotonic())
    for number in range(100):
        rig.put(f"D{number}")
    rig.deliver(in_flight=100, pace=pace)
    assert pace.budget._first_calls == 100
    rig.put("R")
    rig.biller.script["R"] = [RETRY]
    rig.deliver(pace=pace)
    assert pace.budget._first_calls == 101


def test_what_nobody_can_settle_is_kept_by_name(make_rig):
    rig = make_rig(Capabilities())
    rig.put("A")
    rig.biller.script["A"] = [DOUBT]
    rig.deliver()
    assert codes(rig) == ["500", "no-way-to-know"]


def test_a_read_back_that_fails_is_logged_and_one_that_names_another_id_is_believed(make_rig, caplog):
    rig = make_rig(Capabilities(idempotency_seconds=82_800, find=True, read_back=True))
    rig.put("A")
    rig.put("B")
    rig.biller.found["A"] = [AWAY, FOUND]
    rig.biller.found["B"] = [FOUND]
    rig.deliver(in_flight=1)
    assert "submission 1: accepted and not read back (PeerUnavailable)" in caplog.text
    assert rig.outbox.rows[2].answers[-1].destination_id == "B9", "what it has, not what it said"


@pytest.mark.parametrize(("wait", "sent"), [(0.0, True), (0.5, False)])
def test_absence_is_believed_exactly_when_the_lag_is_over(make_rig, wait, sent):
    rig = make_rig(Capabilities(find=True, find_lag_seconds=60))
    rig.put("A")
    item = OutboxItem(id=1, submission=rig.outbox.rows[1].item.submission, in_doubt=True, attempts=1)
    attempts = Attempts(rig.biller, rig.clock, POLICY, Gate(POLICY), RetryBudget(POLICY, 0.0), DeliveryReport(), lambda: 0.0)
    rig.clock.at += 60 - wait
    outcome = asyncio.run(attempts.settle(item))
    assert (outcome is None) is sent
    assert sent or outcome.acknowledgement.native_code == "not-there-yet"


def test_an_answer_that_cannot_be_stored_ends_everything_and_counts_for_nothing(rig, monkeypatch):
    def full(outcomes, *, now):
        raise LedgerError("the disk gave up")

    rig.put("A")
    monkeypatch.setattr(rig.outbox, "finish", full)
    seen = []
    with pytest.raises(LedgerError):
        rig.deliver(on_progress=lambda report: seen.append(report.accepted))
    assert seen == [] and rig.outbox.state(1) == "sending"


def test_an_answer_that_comes_by_itself_is_waited_for_however_often_it_was_tried(rig):
    rig.put("A")
    item = OutboxItem(
        id=1, submission=rig.outbox.rows[1].item.submission, attempts=POLICY.max_attempts, in_doubt=True, first_attempt_at=0.0
    )
    coming = Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="CA", comes_within_seconds=86_400)
    found = verdict.outcome(item, coming, Waits(backoff=1, budget=500), POLICY, now=100.0)
    assert (found.next_at, found.hold_reason) == (86_500.0, None) and found.acknowledgement is coming
