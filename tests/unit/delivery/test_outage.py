"""A biller that is away for weeks: what waits keeps its place, hardly a call is made, and it drains in order at its rate."""

from __future__ import annotations

import asyncio
import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from ptbridge.delivery import DeliveryReport, Pace, RetryPolicy, deliver
from ptbridge.errors import OutcomeUnknown, PeerRefused, PeerUnavailable
from ptbridge.ledger import Ledger, Verdict
from ptbridge.model import Acknowledgement, Disposition, Submission
from ptbridge.ports import Capabilities, Destination
from ptbridge.wire import pacing

from .conftest import VirtualClock

DAY_SECONDS = 86_400.0
AWAY = PeerUnavailable("no connection")
BUSY = Acknowledgement(disposition=Disposition.RETRY, native_code="503")
LOST = OutcomeUnknown("lost")


class Biller:
    """Takes whatever comes, or answers everybody with `trouble`. `tries` are the times at which it was in trouble."""

    capabilities = Capabilities(idempotency_seconds=82_800, find=True)

    def __init__(self, clock: VirtualClock, per_second: float) -> None:
        self.trouble: Acknowledgement | Exception | None = None
        self.arrived: list[tuple[str, float]] = []
        self.tries: list[float] = []
        self.found: list[str] = []
        self._clock = clock
        self._limiter = pacing.RateLimiter(per_second, pacing.Clock(monotonic=clock.monotonic, sleep=clock.sleep))

    async def submit(self, submission: Submission) -> Acknowledgement:
        await self._limiter.wait()
        self._in_trouble()
        if isinstance(self.trouble, Acknowledgement):
            return self.trouble
        self.arrived.append((submission.reference, self._clock.now()))
        await self._clock.sleep(0.02)
        return Acknowledgement(disposition=Disposition.ACCEPTED, destination_id=f"B-{submission.reference}")

    async def find(self, submission: Submission) -> Acknowledgement | None:
        self._in_trouble()
        self.found.append(submission.reference)
        return None

    def _in_trouble(self) -> None:
        if self.trouble is not None:
            self.tries.append(self._clock.now())
        if isinstance(self.trouble, Exception):
            raise self.trouble

    @property
    def order(self) -> list[str]:
        return [reference for reference, _ in self.arrived]


class Site:
    """A real ledger with its outbox, under virtual time; `queue` is what a run's judgement does, `run` its delivery."""

    def __init__(self, folder: Path, per_second: float = 50.0) -> None:
        self.clock = VirtualClock()
        self.biller = Biller(self.clock, per_second)
        self.ledger = Ledger.open(folder, now=lambda: datetime.fromtimestamp(self.clock.at, UTC))
        self.ledger._connection.execute("PRAGMA synchronous=OFF")  # no power is cut here
        self.ledger.begin_run("oak")
        self.queued: list[str] = []

    def queue(self, count: int = 1) -> None:
        with self.ledger.transaction():
            for _ in range(count):
                self._queue(f"pt-{len(self.queued):024x}")

    def _queue(self, reference: str) -> None:
        self.queued.append(reference)
        day = self.ledger.days.get(self.ledger.days.ensure("oak", reference, reference, "2026-11-02"))
        assert day is not None
        content = hashlib.sha256(reference.encode()).digest()
        submission = Submission(
            clinic="oak",
            destination="charge_api",
            key=f"key-{reference}",
            reference=reference,
            order_key=reference,
            body=reference.encode(),
            units=2,
            amount_cents=6642,
            lines=1,
            service_date="2026-11-02",
        )
        page = b'{"findings": [], "lines": [], "visits": []}'
        verdict = Verdict(state="queued", body=page, visits_sha256=b"v", content_sha256=content, submission=submission)
        self.ledger.days.record(day, verdict)

    def run(self, *, in_flight: int = 16, policy: RetryPolicy | None = None, seconds: float = 3600.0) -> DeliveryReport:
        """What a run does: recover what a crash left, then deliver with a breaker and a budget of its own."""
        outbox = self.ledger.outbox("oak", "charge_api")
        outbox.recover(self.clock.now())

        async def scene() -> DeliveryReport:
            return await deliver(
                outbox,
                cast(Destination, self.biller),
                in_flight=in_flight,
                clock=self.clock,
                policy=policy or RetryPolicy(),
                deadline_seconds=seconds,
                random=lambda: 0.0,
            )

        return asyncio.run(scene())

    def states(self) -> dict[str, int]:
        rows = self.ledger._connection.execute("SELECT state, count(*) FROM submission GROUP BY state")
        return {str(state): cast(int, count) for state, count in rows}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path / "state")
    yield one
    one.ledger.close()


def most_in(seconds: float, times: list[float]) -> int:
    """The most of these times within any span that long."""
    return max((bisect_left(times, begun + seconds) - place for place, begun in enumerate(times)), default=0)


def test_45_days_without_the_biller_drain_in_order_and_cost_two_calls_a_minute(site: Site) -> None:
    runs_a_day, per_day = 8, 50
    site.queue()
    site.biller.trouble = LOST
    site.run(policy=RetryPolicy(idle_seconds=0))
    site.biller.trouble = AWAY
    site.clock.at += 60
    for _ in range(45):
        for number in range(runs_a_day):
            site.queue(per_day // runs_a_day + (number < per_day % runs_a_day))
            report = site.run()
            assert (report.ended, report.accepted, report.held.total()) == ("breaker-open", 0, 0)
            site.clock.at += DAY_SECONDS / runs_a_day
    assert len(site.queued) == 45 * per_day + 1
    assert site.states() == {"queued": 45 * per_day, "in-doubt": 1}
    tries = site.biller.tries[1:]
    opened = RetryPolicy().breaker_failures + 16
    assert len(tries) <= opened + 45 * runs_a_day and most_in(60, tries[opened:]) == 1, "each later run asks once"
    site.biller.trouble = None
    report = site.run()
    assert (report.ended, report.accepted, site.states()) == ("done", len(site.queued), {"accepted": len(site.queued)})
    assert site.biller.order == site.queued, "each once, the oldest first"
    assert site.biller.found == site.queued[:1], "the doubt was looked up"
    times = [at for _, at in site.biller.arrived]
    assert most_in(1, times) <= 50, "never above the configured rate"
    assert times[-1] - times[0] <= len(times) / (0.95 * 50), "at 95 % of what is allowed or more"


def test_a_breaker_that_opens_and_closes_within_a_run_lets_the_oldest_ask_and_go_first(site: Site) -> None:
    site.queue(200)
    site.biller.trouble, took = AWAY, site.biller.submit

    async def submit(submission: Submission) -> Acknowledgement:
        if len(site.biller.tries) >= 25:
            site.biller.trouble = None
        return await took(submission)

    site.biller.submit = submit  # type: ignore[method-assign]
    report = site.run(policy=RetryPolicy(end_when_open=False))
    assert (report.ended, site.biller.order) == ("done", site.queued)
    assert most_in(29.9, site.biller.tries[20:]) == 1
    assert report.attempts == 225, "nothing else was tried while it was open"


def test_what_was_tried_alone_before_the_breaker_opened_has_its_place_in_the_next_run(site: Site) -> None:
    """Each waited for a retry of its own until there were five in vain; a minute later it is the oldest again."""
    site.biller.trouble = AWAY
    for _ in range(3):  # from the second on one asks first
        site.queue()
        assert site.run().ended == "breaker-open"
        site.queue(2)
        site.clock.at += 1
    site.biller.trouble = None
    assert site.run(in_flight=1).accepted == 9
    assert site.biller.order == site.queued


@pytest.mark.parametrize("few", [1, 2, 4])
def test_few_that_find_nobody_are_told_like_many_and_keep_no_run_waiting(site: Site, few: int) -> None:
    """A small clinic's one charge learns after five tries what another's hundred learn at once."""
    site.biller.trouble = AWAY
    site.queue(few)
    begun = site.clock.now()
    report = site.run()
    assert (report.ended, report.postponed, site.states()) == ("breaker-open", len(site.biller.tries), {"queued": few})
    assert 5 <= len(site.biller.tries) < 5 + few and site.clock.now() - begun <= 15.1, "after 1, 2, 4 and 8 seconds at most"
    before = len(site.biller.tries)
    assert site.run().ended == "breaker-open" and len(site.biller.tries) == before + 1
    site.biller.trouble = None
    assert site.run().accepted == few and site.biller.order == site.queued


@pytest.mark.parametrize(("seconds", "ended"), [(40, "done"), (900, "breaker-open")])
def test_while_another_can_be_waited_for_one_without_a_connection_ends_nothing(rig: Any, seconds: float, ended: str) -> None:
    rig.put("A")
    rig.put("B")
    rig.biller.script["A"] = [AWAY] * 6
    rig.biller.script["B"] = [Acknowledgement(disposition=Disposition.RETRY, native_code="429", retry_after_seconds=seconds)]
    report = rig.deliver(policy=RetryPolicy())
    tries = [name for _, name, *_ in rig.biller.calls]
    assert (report.ended, tries) == (ended, ["A", "B", *"AAAAA", *(["B", "A"] if ended == "done" else [])])


def test_tries_in_vain_count_in_a_row_only(rig: Any) -> None:
    """What is told to come back later has heard from the biller."""
    rig.put("A")
    busy = Acknowledgement(disposition=Disposition.RETRY, native_code="429")
    rig.biller.script["A"] = [*[AWAY] * 4, busy, *[AWAY] * 4]
    assert rig.deliver(policy=RetryPolicy(first_delay_seconds=0.1)).ended == "done"


def test_few_that_wait_for_one_who_asks_keep_their_places(site: Site) -> None:
    site.queue(3)
    site.biller.trouble, took = AWAY, site.biller.submit

    async def submit(submission: Submission) -> Acknowledgement:
        if len(site.biller.tries) >= 5:
            site.biller.trouble = None
        return await took(submission)

    site.biller.submit = submit  # type: ignore[method-assign]
    begun = site.clock.now()
    report = site.run(in_flight=1, policy=RetryPolicy(end_when_open=False, first_delay_seconds=50))
    assert (report.ended, site.biller.order) == ("done", site.queued), "the oldest asks, whoever else has rested"
    assert [round(at - begun) for at in site.biller.tries] == [0, 0, 0, 50, 50]
    assert round(site.biller.arrived[0][1] - begun) == 80


def test_runs_that_follow_close_on_each_other_each_ask_once(site: Site) -> None:
    site.biller.trouble = AWAY
    site.queue(100)
    site.run()
    before = len(site.biller.tries)
    for _ in range(60):
        site.clock.at += 30
        assert site.run().ended == "breaker-open"
    assert len(site.biller.tries) == before + 60 and most_in(60, site.biller.tries[before:]) == 2
    site.biller.trouble = None
    site.run()
    assert site.biller.order == site.queued


def test_one_item_that_finds_no_connection_rests_and_delays_nobody(rig: Any) -> None:
    rig.put("A")
    rig.biller.script["A"] = [AWAY] * 3
    for number in range(9):
        rig.put(f"D{number}")
    report = rig.deliver(in_flight=1)
    tries = [at for _, name, *_, at in rig.biller.calls if name == "A"]
    assert [round(later - sooner) for sooner, later in pairwise(tries)] == [1, 2, 4]
    assert [name for _, name, *_ in rig.biller.calls][:10] == ["A", *(f"D{number}" for number in range(9))]
    assert (report.accepted, report.ended) == (10, "done")
    assert rig.outbox.rows[1].next_at == 0, "its place was kept"


def test_a_retry_that_is_due_before_a_rest_ends_is_not_kept_waiting(rig: Any) -> None:
    rig.put("A")
    rig.put("B")
    rig.biller.script["A"] = [AWAY] * 4  # tried again after 1, 2, 4 and 8 seconds
    rig.biller.script["B"] = [Acknowledgement(disposition=Disposition.RETRY, native_code="429", retry_after_seconds=10)]
    rig.deliver()
    first, second = [at for _, name, *_, at in rig.biller.calls if name == "B"]
    assert second - first == pytest.approx(10, abs=0.1)
    tries = [at for _, name, *_, at in rig.biller.calls if name == "A"]
    assert [round(later - sooner) for sooner, later in pairwise(tries)] == [1, 2, 4, 8], "nor the other way round"
    assert rig.outbox.states() == ["accepted"] * 2


def test_a_long_outage_leaves_an_item_all_its_attempts(site: Site) -> None:
    """A month of nights with nobody there, or with an expired credential, and then the biller is only busy."""
    site.queue()
    policy = RetryPolicy(idle_seconds=0, max_age_seconds=99 * DAY_SECONDS)
    for trouble in (AWAY, PeerRefused("401 for token env:BILLER", status=401), BUSY):
        site.biller.trouble = trouble
        for _ in range(30):
            assert not site.run(policy=policy).held
            site.clock.at += DAY_SECONDS
    assert site.states() == {"queued": 1} and len(site.biller.tries) >= 90
    site.biller.trouble = None
    assert site.run().accepted == 1


def test_a_refused_credential_is_shown_once_a_run_and_nothing_loses_its_place(site: Site) -> None:
    site.biller.trouble = PeerRefused("401 for token env:BILLER", status=401)
    site.queue(50)
    assert site.run().auth_failed and len(site.biller.tries) <= 16
    before = len(site.biller.tries)
    for _ in range(10):
        site.clock.at += 3600
        site.queue(2)
        assert site.run().auth_failed
    assert len(site.biller.tries) == before + 10
    site.biller.trouble = None
    site.run()
    assert site.biller.order == site.queued


def test_a_biller_that_turns_everybody_away_for_weeks_costs_nobody_his_attempts(site: Site) -> None:
    site.queue(300)
    site.biller.trouble = BUSY
    for _ in range(40):
        report = site.run(seconds=600)
        assert not report.held and not report.accepted
        site.clock.at += DAY_SECONDS
    assert site.states() == {"queued": 300}
    opened = RetryPolicy().busy_answers + 16
    assert most_in(29.9, site.biller.tries[opened:]) == 1
    site.biller.trouble = None
    assert site.run().accepted == 300
    assert sorted(site.biller.order) == site.queued


@pytest.mark.parametrize(("asked_seconds", "asks", "waited"), [(61, 0, 0), (60, 1, 60), (45, 1, 45), (5, 2, 35), (None, 2, 31)])
def test_who_turns_everybody_away_is_waited_for_as_long_as_for_a_retry_and_no_longer(
    site: Site, asked_seconds: float | None, asks: int, waited: float
) -> None:
    """The next run asks again; until the platform's own time, and then every half minute, nobody else does."""
    site.queue(100)
    site.biller.trouble = Acknowledgement(disposition=Disposition.RETRY, native_code="503", retry_after_seconds=asked_seconds)
    begun = site.clock.now()
    report = site.run(in_flight=1)
    assert (report.ended, report.accepted, site.states()) == ("later", 0, {"queued": 100})
    assert len(site.biller.tries) == 5 + asks and site.clock.now() - begun == pytest.approx(waited, abs=0.5)
    before = len(site.biller.tries)
    site.clock.at += DAY_SECONDS
    assert site.run(in_flight=1, policy=RetryPolicy(idle_seconds=0)).ended == "later"
    assert len(site.biller.tries) == before + 1, "the next run begins with one that asks"
    site.biller.trouble = None
    assert site.run().accepted == 100


def test_a_clinic_after_one_that_was_turned_away_asks_nobody_before_the_time(rig: Any) -> None:
    """They share the platform's pause, and patience begins with it."""
    pace = Pace.new(RetryPolicy(), rig.clock.monotonic())
    for number in range(8):
        rig.put(f"D{number}")
        rig.biller.script[f"D{number}"] = [
            Acknowledgement(disposition=Disposition.RETRY, native_code="503", retry_after_seconds=90)
        ]
    assert rig.deliver(in_flight=1, policy=RetryPolicy(), pace=pace).ended == "later"
    calls = len(rig.biller.calls)
    assert rig.deliver(policy=RetryPolicy(), pace=pace).ended == "later" and len(rig.biller.calls) == calls == 5
    rig.clock.at += 90
    rig.biller.script.clear()
    assert rig.deliver(policy=RetryPolicy(), pace=pace).accepted == 8


def test_one_that_is_always_busy_is_given_up_though_the_others_are_served(site: Site) -> None:
    site.queue(1)
    took = site.biller.submit

    async def submit(submission: Submission) -> Acknowledgement:
        return BUSY if submission.reference == site.queued[0] else await took(submission)

    site.biller.submit = submit  # type: ignore[method-assign]
    for _ in range(12):
        site.queue(3)
        site.run(policy=RetryPolicy(idle_seconds=0))
        site.clock.at += 3600
    assert site.states() == {"held": 1, "accepted": 36}


def test_one_that_is_always_busy_is_given_up_though_an_outage_went_before(site: Site) -> None:
    """It is the oldest, so it asks first after the outage: once. From then on it delays nobody, and its attempts count."""
    site.queue(9)
    site.biller.trouble = AWAY
    site.run()
    site.biller.trouble, took = None, site.biller.submit

    async def submit(submission: Submission) -> Acknowledgement:
        return BUSY if submission.reference == site.queued[0] else await took(submission)

    site.biller.submit = submit  # type: ignore[method-assign]
    policy, waited = RetryPolicy(first_delay_seconds=400, max_delay_seconds=400, idle_seconds=400), []
    for _ in range(13):
        site.clock.at += 3600
        site.queue(3)
        begun = site.clock.now()
        site.run(policy=policy)
        waited.append(site.biller.arrived[-1][1] - begun)
    assert site.states() == {"held": 1, "accepted": 8 + 39}
    assert 30 <= waited[0] < 460 and max(waited[1:]) < 1


def test_what_a_stop_cut_off_is_settled_before_what_was_queued_after_it(site: Site) -> None:
    site.queue(40)
    took = site.biller.submit

    async def stuck(submission: Submission) -> Acknowledgement:
        await site.clock.sleep(1e6)
        raise AssertionError("it was cut off")

    site.biller.submit = stuck  # type: ignore[method-assign]
    assert site.run(in_flight=4, seconds=1).doubts == 4
    site.biller.submit = took  # type: ignore[method-assign]
    site.clock.at += 60
    site.run(in_flight=1)
    assert site.biller.order == site.queued


def test_what_grows_too_old_without_a_connection_is_a_persons_and_nobody_waits_for_it(site: Site) -> None:
    site.queue()
    site.biller.trouble = AWAY
    report = site.run(policy=RetryPolicy(max_age_seconds=10, idle_seconds=1e6))
    assert (report.ended, dict(report.held), site.states()) == ("done", {"attempts-exhausted": 1}, {"held": 1})
    assert len(site.biller.tries) == 5, "after 1, 2, 4 and 8 seconds"


def test_who_is_to_ask_first_is_waited_for_no_longer_than_it_must(rig: Any) -> None:
    """Everybody waits for one that asks, and that one may go in a hundred seconds."""
    pace = Pace.new(RetryPolicy(), rig.clock.monotonic())
    pace.gate.suspect()
    rig.outbox.rows[rig.put("A")].next_at = rig.clock.now() + 100
    begun = rig.clock.now()
    assert rig.deliver(pace=pace, deadline=3600).accepted == 1
    assert rig.biller.calls[0][-1] - begun == pytest.approx(100, abs=0.1)


def test_an_answer_lost_after_a_long_outage_is_a_first_doubt(site: Site) -> None:
    site.queue()
    site.biller.trouble = AWAY
    for _ in range(30):
        site.run()
        site.clock.at += DAY_SECONDS
    site.biller.trouble = LOST
    assert not site.run(policy=RetryPolicy(idle_seconds=0)).held
    assert site.states() == {"in-doubt": 1}
    item = site.ledger.outbox("oak", "charge_api").due(now=site.clock.now() + DAY_SECONDS, limit=1)[0]
    assert item.attempts - item.unanswered == 1
    rested = site.ledger.outbox("oak", "charge_api").next_due_at()
    assert rested is not None and rested - site.clock.now() <= 2, "it is tried again as after a first attempt"
    site.biller.trouble = None
    site.clock.at += 60
    assert site.run().accepted == 1 and site.biller.found == site.queued, "looked up: its key is too old for a replay"


def test_once_the_breaker_is_open_nobody_rests_on_his_own(site: Site) -> None:
    site.queue(20)
    site.biller.trouble, took = AWAY, site.biller.submit

    async def submit(submission: Submission) -> Acknowledgement:
        if len(site.biller.tries) >= 5:
            site.biller.trouble = None
        return await took(submission)

    site.biller.submit = submit  # type: ignore[method-assign]
    begun = site.clock.now()
    site.run(in_flight=1, policy=RetryPolicy(first_delay_seconds=250, end_when_open=False))
    assert site.biller.order == site.queued and site.biller.arrived[-1][1] - begun < 40
