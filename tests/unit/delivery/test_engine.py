"""The delivery engine in virtual time: what it sends, what it never sends, and what it leaves behind."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from ptbridge.delivery import RetryPolicy, deliver
from ptbridge.errors import LedgerError, OutcomeUnknown, PeerRefused, PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.ports import Capabilities

RETRY = Acknowledgement(disposition=Disposition.RETRY, native_code="busy")
DOUBT = Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="500")
REJECTED = Acknowledgement(disposition=Disposition.REJECTED, native_code="bad-npi")
FOUND = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="B9")
AWAY = PeerUnavailable("no connection")


def retry_after(seconds):
    return Acknowledgement(disposition=Disposition.RETRY, native_code="429", retry_after_seconds=seconds)


def test_everything_due_is_sent_once_and_counted(rig):
    for number in range(40):
        rig.put(f"D{number}")
    report = rig.deliver(in_flight=8)
    assert rig.outbox.states() == ["accepted"] * 40
    assert len(rig.biller.calls) == 40 and rig.biller.most_at_once == 8
    assert (report.accepted, report.accepted_units, report.accepted_cents) == (40, 80, 40 * 6642)
    assert report.ended == "done" and not report.auth_failed


def test_starts_and_finishes_of_one_turn_share_a_transaction(rig):
    for number in range(64):
        rig.put(f"D{number}")
    rig.deliver(in_flight=16)
    assert len(rig.outbox.journal) <= 2 * 64 / 16 + 2
    assert sorted(id_ for kind, ids in rig.outbox.journal if kind == "finish" for id_ in ids) == list(range(1, 65))


def test_one_order_key_goes_one_at_a_time_and_in_order(rig):
    for revision in (1, 2, 3):
        rig.put("A", order_key="K", revision=revision)
    rig.put("B")
    rig.biller.script["A"] = [RETRY, DOUBT]
    rig.deliver()
    keys = [key for _, name, key, *_ in rig.biller.calls if name == "A"]
    assert keys == ["key-A-1", "key-A-1", "key-A-1", "key-A-2", "key-A-3"]
    assert rig.biller.calls[1][1] == "B", "another key does not wait"


def test_a_lost_answer_is_replayed_with_the_same_key_and_bytes(rig):
    rig.put("A")
    rig.biller.script["A"] = [DOUBT]
    rig.deliver()
    first, second = rig.biller.calls
    assert first[:4] == second[:4] and second[0] == "submit"
    assert rig.outbox.states() == ["accepted"]


def test_an_exception_that_says_the_outcome_is_unknown_is_a_doubt(rig):
    rig.put("A")
    rig.biller.script["A"] = [OutcomeUnknown("sent, no answer")]
    rig.deliver()
    assert [a.disposition for a in rig.outbox.rows[1].answers] == [Disposition.IN_DOUBT, Disposition.ACCEPTED]


def test_without_a_key_window_a_doubt_is_looked_up_and_found(make_rig):
    rig = make_rig(Capabilities(find=True))
    rig.put("A")
    rig.biller.script["A"] = [DOUBT]
    rig.biller.found["A"] = [FOUND]
    rig.deliver()
    assert rig.biller.called("A") == ["submit", "find"]
    assert rig.outbox.rows[1].answers[-1].destination_id == "B9"


def test_surely_not_there_means_the_same_bytes_again(make_rig):
    rig = make_rig(Capabilities(find=True))
    rig.put("A")
    rig.biller.script["A"] = [DOUBT]
    rig.deliver()
    assert rig.biller.called("A") == ["submit", "find", "submit"]
    assert rig.biller.calls[0][2:4] == rig.biller.calls[2][2:4]


def test_absence_is_not_believed_within_the_look_up_lag(make_rig):
    rig = make_rig(Capabilities(find=True, find_lag_seconds=60))
    rig.put("A")
    rig.biller.script["A"] = [DOUBT]
    rig.biller.found["A"] = [None, FOUND]
    rig.deliver()
    assert rig.biller.called("A").count("submit") == 1
    rig = make_rig(Capabilities(find=True, find_lag_seconds=60))
    rig.put("A")
    rig.biller.script["A"] = [DOUBT]
    rig.deliver()
    times = [at for what, _, _, _, at in rig.biller.calls if what == "submit"]
    assert len(times) == 2 and times[1] - times[0] >= 60


def test_neither_replay_nor_look_up_means_hold_and_never_resend(make_rig):
    rig = make_rig(Capabilities())
    rig.put("A")
    rig.biller.script["A"] = [DOUBT]
    report = rig.deliver()
    assert rig.biller.called("A") == ["submit"]
    assert (rig.outbox.state(1), rig.outbox.rows[1].reason) == ("held", "in-doubt")
    assert report.held == {"in-doubt": 1}


def test_past_the_key_window_it_looks_up_first(rig):
    rig.put("A")
    rig.biller.script["A"] = [DOUBT]
    rig.deliver(deadline=0.5)
    assert rig.outbox.state(1) == "in-doubt"
    rig.clock.at += 83_000
    rig.biller.found["A"] = [FOUND]
    rig.deliver()
    assert rig.biller.called("A") == ["submit", "find"]


def test_a_key_replayed_without_end_is_looked_up(rig):
    rig.put("A")
    rig.biller.script["A"] = [DOUBT] * 8
    rig.biller.found["A"] = [FOUND]
    rig.deliver(deadline=3600)
    assert rig.biller.called("A") == ["submit"] * 4 + ["find"]


def test_a_refused_replay_is_looked_up_before_it_is_believed(rig):
    rig.put("A")
    rig.biller.script["A"] = [DOUBT, REJECTED]
    rig.biller.found["A"] = [FOUND]
    rig.deliver()
    assert rig.outbox.states() == ["accepted"]


def test_a_rejection_is_held_with_the_native_code_and_never_repeated(rig):
    rig.put("A")
    rig.biller.script["A"] = [REJECTED]
    rig.deliver()
    assert rig.biller.called("A") == ["submit"]
    assert rig.outbox.rows[1].reason == "rejected:bad-npi"


def test_busy_to_a_replay_leaves_the_doubt(rig):
    rig.put("A")
    rig.biller.script["A"] = [DOUBT, RETRY]
    rig.deliver(deadline=2.0)
    assert rig.outbox.state(1) == "in-doubt", "the 429 says nothing about the first attempt"


def test_retry_after_is_waited_out(rig):
    rig.put("A")
    rig.biller.script["A"] = [retry_after(90)]
    rig.deliver()
    times = [at for *_, at in rig.biller.calls]
    assert times[1] - times[0] >= 90


def test_attempts_are_bounded(rig):
    rig.put("A")
    rig.biller.script["A"] = [RETRY] * 50
    report = rig.deliver(policy=RetryPolicy(max_attempts=4), deadline=10_000)
    assert len(rig.biller.calls) == 4 and report.held == {"attempts-exhausted": 1}


def test_age_is_bounded(rig):
    rig.put("A")
    rig.biller.script["A"] = [RETRY] * 50
    rig.deliver(deadline=1)
    rig.clock.at += 61 * 86_400
    rig.deliver()
    assert rig.outbox.rows[1].reason == "attempts-exhausted"


def test_an_item_that_always_fails_delays_nobody(rig):
    bad = rig.put("BAD")
    for number in range(200):
        rig.put(f"D{number}")
    rig.biller.script["BAD"] = [retry_after(300)] * 50
    started = rig.clock.now()
    rig.deliver(in_flight=2, deadline=5)
    last = max(at for _, name, *_, at in rig.biller.calls if name != "BAD")
    assert rig.outbox.states().count("accepted") == 200 and rig.outbox.state(bad) == "queued"
    assert last - started < 200 * 0.02 / 2 + 1


def test_a_fault_in_the_destination_holds_its_item_only(rig):
    rig.put("A")
    rig.put("B")
    rig.biller.script["A"] = [ZeroDivisionError("Jane Roe")]
    rig.deliver()
    assert rig.outbox.states() == ["held", "accepted"]
    assert rig.outbox.rows[1].reason == "in-doubt" and rig.outbox.rows[1].answers[0].native_code == "ZeroDivisionError"


def test_an_outage_opens_the_breaker_and_leaves_everything_queued(rig):
    for number in range(100):
        rig.put(f"D{number}")
        rig.biller.script[f"D{number}"] = [AWAY] * 9
    report = rig.deliver(in_flight=4)
    assert report.ended == "breaker-open" and len(rig.biller.calls) < 5 + 4
    assert set(rig.outbox.states()) == {"queued"}


def test_an_open_breaker_probes_twice_a_minute_at_most_and_recovers(rig):
    for number in range(30):
        rig.put(f"D{number}")
    away = iter([AWAY] * 12)

    async def submit(submission, _submit=rig.biller.submit):
        error = next(away, None)
        if error:
            rig.biller.calls.append(("away", submission.reference, "", b"", rig.clock.now()))
            raise error
        return await _submit(submission)

    rig.biller.submit = submit
    report = rig.deliver(policy=RetryPolicy(end_when_open=False, idle_seconds=1e6), deadline=3600)
    tries = [at for what, *_, at in rig.biller.calls if what == "away"][8:]
    assert all(later - sooner >= 30 for sooner, later in pairwise(tries))
    assert report.accepted == 30


def test_a_long_outage_alone_never_exhausts_an_item(rig):
    rig.put("A")
    rig.biller.script["A"] = [AWAY] * 40
    for _ in range(45):
        rig.deliver(deadline=60)
        rig.clock.at += 86_400
    assert rig.outbox.states() == ["accepted"]


def test_a_refused_credential_stops_and_queues(rig):
    for number in range(20):
        rig.put(f"D{number}")
        rig.biller.script[f"D{number}"] = [PeerRefused("401 for token env:BILLER", status=401)]
    report = rig.deliver(in_flight=4)
    assert report.auth_failed and report.refusal == "401 for token env:BILLER"
    assert set(rig.outbox.states()) == {"queued"} and len(rig.biller.calls) == 4
    assert not any(row.state == "in-doubt" for row in rig.outbox.rows.values())


def test_a_refused_credential_does_not_settle_a_doubt(rig):
    rig.put("A")
    rig.biller.script["A"] = [DOUBT, PeerRefused("401", status=401)]
    rig.deliver()
    assert rig.outbox.state(1) == "in-doubt"


def test_after_a_crash_what_was_being_sent_is_settled_first(rig):
    rig.put("A")
    rig.outbox.start((rig.outbox.due(now=rig.clock.now(), limit=1)[0],), now=rig.clock.now())
    rig.outbox.crash()
    rig.clock.at += 100_000
    rig.biller.found["A"] = [FOUND]
    rig.deliver()
    assert rig.biller.called("A") == ["find"]


def test_extra_calls_stay_within_a_tenth_in_steady_failure(rig):
    """Half of all charges, 80 new ones a second, are told to come back again and again."""
    for number in range(1000):
        id_ = rig.put(f"D{number}")
        rig.outbox.rows[id_].next_at = rig.clock.now() + number / 80
        rig.biller.script[f"D{number}"] = [RETRY] * 9 if number % 2 else []
    policy = RetryPolicy(busy_answers=10**6, first_delay_seconds=0.01, max_attempts=99)
    rig.deliver(in_flight=16, deadline=12.5, policy=policy)
    first = len({name for _, name, *_ in rig.biller.calls})
    allowed = policy.extra_calls_share * first + policy.extra_calls_reserve + policy.extra_calls_per_second * 12.5
    assert first > 950
    assert 50 < len(rig.biller.calls) - first <= allowed + 1


def test_a_key_in_flight_is_not_sent_beside_even_if_the_outbox_offers_it(rig):
    """Between the hand-out of an item and its durable start, an outbox may still think that nothing of its key moves."""
    rig.put("A", order_key="K", revision=1)
    rig.put("A", order_key="K", revision=2)
    due = rig.outbox.due

    def careless(*, now, limit):
        rows = [row for row in rig.outbox.rows.values() if row.state == "sending"]
        for row in rows:
            row.state = "hidden"
        try:
            return due(now=now, limit=limit)
        finally:
            for row in rows:
                row.state = "sending"

    rig.outbox.due = careless
    rig.biller.seconds_of["A"] = 5.0
    rig.put("B")
    rig.deliver(in_flight=4)
    first, second = [at for _, name, _, _, at in rig.biller.calls if name == "A"]
    assert second - first > 4.9


def test_a_platform_that_is_busy_for_many_gets_a_pause(rig):
    for number in range(40):
        rig.put(f"D{number}")
        rig.biller.script[f"D{number}"] = [retry_after(20)] if number < 8 else []
    started = rig.clock.now()
    rig.deliver(in_flight=1)
    submits = [at - started for *_, at in rig.biller.calls]
    assert not [at for at in submits if 0.5 < at < 20], "everyone waits, not only the eight"
    assert rig.outbox.states() == ["accepted"] * 40


def test_a_ledger_that_cannot_write_stops_everything(rig):
    rig.put("A")
    rig.outbox.broken = True
    with pytest.raises(LedgerError):
        rig.deliver()
    assert rig.biller.calls == []


def test_the_deadline_leaves_the_rest_queued(rig):
    for number in range(100):
        rig.put(f"D{number}")
    report = rig.deliver(in_flight=1, deadline=0.5)
    assert report.ended == "deadline"
    assert set(rig.outbox.states()) == {"accepted", "queued"}


def test_a_retry_due_after_the_deadline_is_left_for_the_next_run(rig):
    rig.put("A")
    rig.biller.script["A"] = [retry_after(900)]
    started = rig.clock.now()
    assert rig.deliver(deadline=600).ended == "later"
    assert rig.clock.now() - started < 5


def test_a_run_that_only_waits_for_a_far_retry_ends(rig):
    rig.put("A")
    rig.put("B")
    rig.biller.script["A"] = [retry_after(90)]
    started = rig.clock.now()
    report = rig.deliver(policy=RetryPolicy(), deadline=3600)
    assert (report.ended, report.accepted, report.postponed) == ("later", 1, 1)
    assert rig.clock.now() - started < 5


def test_stop_lets_calls_finish_and_doubts_those_that_do_not(rig):
    rig.put("SLOW")
    rig.put("NEXT")
    rig.biller.seconds = 60

    async def run():
        stop = asyncio.Event()
        task = asyncio.ensure_future(
            deliver(
                rig.outbox,
                rig.biller,
                in_flight=1,
                clock=rig.clock,
                policy=RetryPolicy(),
                deadline_seconds=600,
                stop=stop,
            )
        )
        while not rig.biller.calls:
            await asyncio.sleep(0)
        stop.set()
        return await task

    report = asyncio.run(run())
    assert report.ended == "stopped" and report.doubts == 1
    assert rig.outbox.states() == ["in-doubt", "queued"]


def test_progress_is_told(rig):
    rig.put("A")
    rig.put("B")
    seen = []
    rig.deliver(in_flight=1, on_progress=lambda report: seen.append(report.accepted))
    assert seen == [1, 2]


def test_a_batch_goes_together_after_its_doubts_are_settled(make_rig):
    rig = make_rig(Capabilities(find=True, batch=True))
    rig.put("A")
    rig.outbox.start(tuple(rig.outbox.due(now=rig.clock.now(), limit=9)), now=rig.clock.now())
    rig.outbox.crash()
    rig.biller.found["A"] = [FOUND]
    rig.put("B")
    rig.put("C")
    report = rig.deliver()
    assert [what for what, *_ in rig.biller.calls] == ["find", "submit", "submit"]
    assert report.accepted == 3 and report.ended == "done"


def test_a_batch_that_cannot_be_written_stays_queued(make_rig):
    rig = make_rig(Capabilities(find=True, batch=True))
    rig.put("A")
    rig.biller.script["A"] = [AWAY]
    assert rig.deliver().ended == "breaker-open"
    assert rig.outbox.states() == ["queued"]
