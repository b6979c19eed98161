"""The rare ways out: a ledger that gives up midway, a read back that fails, a batch that is refused, ages nobody knows."""

from __future__ import annotations

import asyncio

import pytest

from ptbridge.delivery import RetryPolicy, verdict
from ptbridge.delivery.commits import GroupCommit
from ptbridge.errors import LedgerError, OutcomeUnknown, PeerRefused, PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.ports import Capabilities, OutboxItem, Outcome

DOUBT = Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="500")
FOUND = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id=None)
DIFFERS = Acknowledgement(disposition=Disposition.REJECTED, native_code="totals-differ")
READS_BACK = Capabilities(idempotency_seconds=82_800, find=True, read_back=True)


@pytest.mark.parametrize("where", ["submit", "find"])
def test_a_ledger_that_gives_up_inside_a_destination_stops_everything(make_rig, where):
    rig = make_rig(Capabilities(find=True))
    rig.put("A")
    rig.biller.script["A"] = [LedgerError("the disk gave up")] if where == "submit" else [DOUBT]
    rig.biller.found["A"] = [LedgerError("the disk gave up")]
    with pytest.raises(LedgerError):
        rig.deliver()
    assert rig.outbox.state(1) == "sending", "the next run finds it in doubt"


def test_a_fault_in_the_look_up_holds_its_item_only(make_rig):
    rig = make_rig(Capabilities(find=True))
    rig.put("A")
    rig.biller.script["A"] = [DOUBT]
    rig.biller.found["A"] = [KeyError("Jane Roe")]
    rig.deliver()
    assert (rig.outbox.state(1), rig.outbox.rows[1].answers[-1].native_code) == ("held", "KeyError")


def test_what_is_read_back_whole_is_taken_with_the_id_that_the_answer_gave(make_rig):
    rig = make_rig(READS_BACK)
    rig.put("A")
    rig.biller.found["A"] = [FOUND]
    rig.deliver()
    assert rig.biller.called("A") == ["submit", "find"]
    assert rig.outbox.rows[1].answers[-1].destination_id == "B1"


def test_what_is_read_back_different_is_a_persons(make_rig):
    rig = make_rig(READS_BACK)
    rig.put("A")
    rig.biller.found["A"] = [DIFFERS]
    rig.deliver()
    assert (rig.outbox.state(1), rig.outbox.rows[1].reason) == ("held", "rejected:totals-differ")


@pytest.mark.parametrize("trouble", [PeerUnavailable("away"), PeerRefused("401"), OutcomeUnknown("lost"), None])
def test_what_cannot_be_read_back_is_in_doubt_until_it_can(make_rig, trouble):
    rig = make_rig(READS_BACK)
    rig.put("A")
    rig.biller.found["A"] = [trouble, FOUND]
    rig.deliver()
    first, last = rig.outbox.rows[1].answers
    assert (first.disposition, first.native_code) == (Disposition.IN_DOUBT, "not-read-back")
    assert last.disposition is Disposition.ACCEPTED and rig.outbox.state(1) == "accepted"


def test_a_look_up_that_is_told_to_come_back_is_an_answer(make_rig):
    rig = make_rig(Capabilities(find=True))
    rig.put("A")
    rig.biller.script["A"] = [DOUBT]
    rig.biller.found["A"] = [PeerUnavailable("busy", status=503, retry_after_seconds=20), FOUND]
    rig.deliver()
    times = [at for what, *_, at in rig.biller.calls if what == "find"]
    assert times[1] - times[0] >= 20 and rig.outbox.state(1) == "accepted"


@pytest.mark.parametrize(
    ("error", "ended", "state"), [(PeerRefused("401"), "refused", "queued"), (OutcomeUnknown("x"), "breaker-open", "in-doubt")]
)
def test_a_batch_whose_folder_refuses_or_is_lost_stays(make_rig, error, ended, state):
    rig = make_rig(Capabilities(find=True, batch=True))
    rig.put("A")
    rig.biller.script["A"] = [error]
    seen = []
    assert rig.deliver(on_progress=lambda report: seen.append(report.postponed)).ended == ended
    assert rig.outbox.state(1) == state and seen == [1]


def test_a_batch_of_nothing_but_settled_doubts_makes_no_file(make_rig):
    rig = make_rig(Capabilities(find=True, batch=True))
    rig.put("A")
    rig.outbox.start(tuple(rig.outbox.due(now=rig.clock.now(), limit=9)), now=rig.clock.now())
    rig.outbox.crash()
    rig.biller.found["A"] = [FOUND]
    rig.deliver()
    assert [what for what, *_ in rig.biller.calls] == ["find"]


def test_who_no_longer_waits_for_a_commit_is_left_alone(rig):
    async def scene():
        rig.put("A")
        commits = GroupCommit(rig.outbox, rig.clock)
        (item,) = rig.outbox.due(now=rig.clock.now(), limit=1)
        waiting = asyncio.ensure_future(commits.start(item))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await asyncio.sleep(0)

    asyncio.run(scene())
    assert rig.outbox.state(1) == "sending"


def one_in_flight_and_one_ready(rig):
    """An item whose answer is there, and the next one."""
    for name in "AB":
        rig.put(name)
    first, second = rig.outbox.due(now=rig.clock.now(), limit=9)
    rig.outbox.start((first,), now=rig.clock.now())
    return Outcome(item=first, acknowledgement=FOUND), second


def test_the_answer_of_one_and_the_start_of_the_next_share_a_transaction(rig):
    outcome, item = one_in_flight_and_one_ready(rig)

    async def scene():
        commits = GroupCommit(rig.outbox, rig.clock)
        await asyncio.gather(commits.start(item), commits.finish(outcome))

    asyncio.run(scene())
    assert rig.outbox.states() == ["accepted", "sending"] and rig.outbox.turns == 1


def test_a_start_that_cannot_be_stored_takes_no_answer_with_it(rig):
    outcome, item = one_in_flight_and_one_ready(rig)
    rig.outbox.broken = True

    async def scene():
        commits = GroupCommit(rig.outbox, rig.clock)
        return await asyncio.gather(commits.start(item), commits.finish(outcome), return_exceptions=True)

    started, finished = asyncio.run(scene())
    assert isinstance(started, LedgerError) and finished is None
    assert rig.outbox.states() == ["accepted", "queued"] and rig.outbox.turns == 0


def test_an_answer_that_cannot_be_stored_is_told_and_the_start_stands(rig, monkeypatch):
    outcome, item = one_in_flight_and_one_ready(rig)

    def refused(outcomes, *, now):
        raise LedgerError("the disk gave up")

    monkeypatch.setattr(rig.outbox, "finish", refused)

    async def scene():
        commits = GroupCommit(rig.outbox, rig.clock)
        return await asyncio.gather(commits.start(item), commits.finish(outcome), return_exceptions=True)

    started, finished = asyncio.run(scene())
    assert started is None and isinstance(finished, LedgerError)
    assert rig.outbox.states() == ["sending", "sending"]


def an_item(rig, **facts):
    rig.put("A")
    return OutboxItem(id=1, submission=rig.outbox.rows[1].item.submission, **facts)


def test_an_unknown_age_is_no_fresh_key(rig):
    item = an_item(rig, in_doubt=True)
    assert not verdict.key_is_fresh(item, READS_BACK, RetryPolicy(), now=1e9)


def test_absence_is_believed_from_the_later_of_what_is_known(rig):
    lag = Capabilities(find=True, find_lag_seconds=60)
    known = an_item(rig, in_doubt=True, last_attempt_at=100.0)
    believed = verdict.absence_believed_at(known, lag, RetryPolicy(), doubt_at=None, run_started_at=1000.0)
    assert believed == 100 + 300 + 60
    unknown = an_item(rig, in_doubt=True)
    assert verdict.absence_believed_at(unknown, lag, RetryPolicy(), doubt_at=None, run_started_at=1000.0) == 1060


@pytest.mark.parametrize(("in_doubt", "reason"), [(True, "in-doubt"), (False, "attempts-exhausted")])
def test_without_a_connection_only_age_ends_it(rig, in_doubt, reason):
    item = an_item(rig, in_doubt=in_doubt, first_attempt_at=0.0)
    old = verdict.unreached(item, RetryPolicy(), now=61 * 86_400.0)
    assert (old.hold_reason, old.unanswered) == (reason, False)
    young = verdict.unreached(item, RetryPolicy(), now=60 * 86_400.0)
    assert (young.hold_reason, young.unanswered, young.next_at) == (None, True, None)


def test_one_who_no_longer_waits_keeps_nobody_else_waiting(rig):
    """Both are started by the commit; only the one that was not cancelled is told."""

    async def scene():
        for name in "AB":
            rig.put(name)
        commits = GroupCommit(rig.outbox, rig.clock)
        gone, waiting = (asyncio.ensure_future(commits.start(item)) for item in rig.outbox.due(now=rig.clock.now(), limit=2))
        await asyncio.sleep(0)
        gone.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert gone.cancelled() and waiting.done()

    asyncio.run(scene())
    assert rig.outbox.states() == ["sending", "sending"]
