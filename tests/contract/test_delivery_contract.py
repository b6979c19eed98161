"""The delivery contract, one test for each promise about delivery and change: D1 to D3, D10 to D20, D29.

D4 and D21 to D28 are in test_delivery_contract_ledger.py; D5 to D7 with the listener in test_listen.py. Here time is the only
thing that is ever pretended, and only where a promise is about weeks.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from ptbridge_sandbox.biller import SandboxBiller
from ptbridge_sandbox.biller_books import Books
from ptbridge_sandbox.day import FATES

from ptbridge import jobs
from ptbridge.delivery import RetryPolicy, deliver
from ptbridge.destinations._charge_document import charge_document
from ptbridge.ledger import DayRow, Ledger, Verdict
from ptbridge.model import Acknowledgement, Frequency, Submission
from ptbridge.ports import Destination
from ptbridge.wire.http import HttpClient
from ptbridge.wire.pacing import RateLimiter
from tests.rigs import BILLING, a_day, build
from tests.world import World

VISIT = "enc-0002"
DAY_SECONDS = 86_400.0


def sent(world: World, visit: str = VISIT) -> list[tuple[str, str]]:
    (day,) = jobs.explain(world.config, visit)["days"]
    return [(row["frequency"], row["state"]) for row in day["submissions"]]


def history(world: World) -> list[tuple[str, str, str]]:
    return world.biller.books.history


def rows(world: World, query: str) -> list[tuple[Any, ...]]:
    with Ledger.open(world.folder / "state") as ledger:
        return list(ledger._connection.execute(query))


# ---------------------------------------------------------------- accounting


def test_D01_every_documented_line_has_one_fate_and_open_ones_show_their_age(world: World) -> None:
    world.biller.faults.refuse = 0.2
    text = world.clinic_file.read_text()
    world.sync()
    with Ledger.open(world.config.state, write=False) as ledger:
        visits, lines = ledger.accounts.fates("riverside-pt", 0, everything=True)
        documented = ledger._connection.execute("SELECT count(*), sum(lines) FROM visit").fetchone()
        live = dict(ledger.accounts.live("riverside-pt"))
    assert documented is not None and (sum(visits.values()), sum(lines.values())) == documented == (len(FATES), documented[1])
    books = world.books()
    assert (sum(units for units, _ in live.values()), sum(cents for _, cents in live.values())) == (
        books["units"],
        books["amount_cents"],
    )
    world.clinic_file.write_text(text.replace(world.biller.base_url, "http://127.0.0.1:9"))
    world.store.edit_visit(VISIT, {"97112": 40})
    assert world.sync().exit_code == 5, "five tries of one charge tell that nobody is there"
    (day,) = jobs.explain(world.config, VISIT)["days"]
    waiting = {row["reference"]: row for row in jobs.status(world.config)["riverside-pt"]["waiting"]}[day["reference"]]
    assert waiting["state"] == "queued" and waiting["queued_at"] > 1.7e9 and waiting["next_at"]


@pytest.mark.usefixtures("retried_at_once")
def test_D02_at_no_moment_has_the_biller_two_live_charges_of_one_day(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The biller counts on every request, under lost answers, repeats and corrections."""
    seen: list[int] = []
    take = Books.take

    def watched(books: Books, *arguments: Any) -> Any:
        made = take(books, *arguments)
        seen.append(max((len(live) for live in books.live.values()), default=0))
        return made

    monkeypatch.setattr(Books, "take", watched)
    world.biller.faults.lose_answer = 0.3
    world.sync()
    world.store.edit_visit(VISIT, {"97112": 40})
    world.store.edit("Encounter", "enc-0003", lambda encounter: encounter.update(status="entered-in-error"))
    world.sync()
    world.biller.faults.lose_answer = 0.0
    jobs.retry(world.config)
    assert len(seen) >= 58 and set(seen) == {1}
    world.agrees()


def test_D03_whatever_is_not_sent_says_why_since_when_and_what_to_do(world: World) -> None:
    world.biller.faults.refuse = 0.2
    world.sync()
    held = jobs.held(world.config)
    assert len(held) > 6
    for row in held:
        assert row["held_since"] and row["reasons"]
        assert all(reason["code"] and reason["message"] and reason["fix"] for reason in row["reasons"])
    excluded = rows(world, "SELECT reason FROM treatment_day WHERE state = 'excluded'")
    assert excluded and all(reason for (reason,) in excluded)
    dead = jobs.dead_letters(world.config)
    assert dead and {row["owner"] for row in dead} == {"clinic"}
    assert all(row["reason"] == "rejected:not-billable" and row["replay"].startswith("ptbridge retry pt-") for row in dead)
    world.biller.faults.refuse = 0.0
    jobs.retry(world.config, name=dead[0]["id"], reason="the payer was added at the biller")
    assert len(jobs.dead_letters(world.config)) == len(dead) - 1
    world.agrees()


# ---------------------------------------------------------------- push


@pytest.mark.usefixtures("retried_at_once")
def test_D10_key_and_bytes_are_on_the_disk_before_the_first_byte_and_stay_the_same(world: World) -> None:
    """The biller looks into the ledger's file while it is being asked: what it is sent is there, marked as being sent."""
    found: list[bool] = []
    work = world.biller._work
    import apsw

    from ptbridge.ledger.database import unpack

    def watched(request: Any, frequency: str, key: str, body: bytes) -> tuple[int, dict[str, Any]]:
        file = str(world.folder / "state" / "ledger.sqlite")
        with apsw.Connection(file, flags=apsw.SQLITE_OPEN_READONLY) as ledger:
            row = ledger.execute(
                "SELECT state, body FROM submission JOIN submission_body ON submission_id = id WHERE key = ?", (key,)
            ).fetchone()
        found.append(row is not None and row[0] == "sending" and unpack(row[1]) == body)
        return work(request, frequency, key, body)

    world.biller._work = watched  # type: ignore[method-assign]
    world.biller.faults.lose_answer = 0.3
    world.sync()
    assert len(found) == 56 and all(found)
    assert world.biller.requests["replays"] > 0 and world.biller.requests["refused"] == 0, "same key, same bytes"


@pytest.mark.usefixtures("retried_at_once")
def test_D11_a_lost_answer_is_a_state_that_a_replay_or_a_look_up_settles(world: World) -> None:
    world.biller.faults.error_after_commit = 0.3
    report = world.sync()
    assert report.delivery["doubts"] > 0
    assert ("in-doubt",) in rows(world, "SELECT DISTINCT event FROM history WHERE entity = 'submission'")
    world.biller.faults.error_after_commit = 0.0
    world.biller.faults.forget_keys = True
    jobs.retry(world.config)
    world.agrees()


def test_D11_half_a_charge_is_never_reported_as_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The biller says yes to the whole, and keeps less: read back, that is a person's, not a charge that was sent."""
    option = '  platform: charge_api\n  options: {read_back: "yes"}\n'
    world.clinic_file.write_text(world.clinic_file.read_text().replace("  platform: charge_api\n", option))
    halved: list[Any] = []
    work = world.biller._work

    def halving(*arguments: Any) -> tuple[int, dict[str, Any]]:
        status, answer = work(*arguments)
        if not halved:
            halved.append(world.biller.books.latest[answer["reference"]])
            halved[0].units -= 1
        return status, answer

    monkeypatch.setattr(world.biller, "_work", halving)
    report = world.sync()
    (dead,) = jobs.dead_letters(world.config)
    assert (dead["id"], dead["reason"]) == (halved[0].reference, "rejected:totals-differ")
    assert report.submissions_sent == 55 and report.delivery["look_ups"] == 56
    halved[0].units += 1
    jobs.retry(world.config, name=dead["id"], reason="the biller mended it")
    assert Counter(event for event, *_ in history(world)) == {"created": 56}, "mended there, it is no second charge"


@dataclass
class Shifted:
    """The system's clock, moved ahead: weeks pass between two runs, never while one is waiting for real bytes."""

    ahead: float = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Timed:
    """A destination, a ledger and a clock that can be moved: weeks of the real engine in seconds, over real HTTP."""

    def __init__(self, folder: Path, biller: SandboxBiller, **destination: Any) -> None:
        self.clock = Shifted()
        self.biller = biller
        self.ledger = Ledger.open(folder, now=lambda: datetime.fromtimestamp(self.clock.now(), UTC))
        self.ledger.begin_run("oak")
        self.outbox = self.ledger.outbox("oak", "charge_api")
        self.chosen = destination
        self.limiter: RateLimiter | None = None
        self.made: Destination | None = None

    def destination(self, base_url: str = "") -> Destination:
        url = base_url or self.biller.base_url
        made: Destination = build("charge_api", http=HttpClient(url, limiter=self.limiter), **self.chosen)
        return made

    def queue(self, number: int, *, revision: int = 1, frequency: Frequency = Frequency.ORIGINAL, units: int = 2) -> DayRow:
        """A judged day and its submission."""
        reference, priced = f"pt-{number:024x}", a_day(units)
        document = charge_document(priced, BILLING, reference=reference, frequency=frequency.value, original_id=None)
        with self.ledger.transaction():
            day_id = self.ledger.days.ensure("oak", f"day {number}", reference, "2026-11-02")
            row = self.ledger.days.get(day_id)
            assert row is not None
            submission = Submission(
                clinic="oak",
                destination="charge_api",
                key=f"{reference}-{revision}",
                reference=reference,
                order_key=reference,
                revision=revision,
                frequency=frequency,
                body=orjson.dumps(document),
                units=priced.units,
                amount_cents=priced.amount_cents,
                lines=2,
                service_date="2026-11-02",
            )
            page = json.dumps({"findings": [], "lines": [], "visits": []}).encode()
            self.ledger.days.record(
                row,
                Verdict(state="queued", body=page, visits_sha256=b"v", content_sha256=b"c", submission=submission),
            )
        found = self.ledger.days.get(day_id)
        assert found is not None
        return found

    async def run(self, *, policy: RetryPolicy | None = None, in_flight: int = 4) -> Any:
        """One delivery of a run, over the same connections as the last one."""
        self.made = self.made or self.destination()
        return await deliver(
            self.outbox,
            self.made,
            in_flight=in_flight,
            clock=self.clock,
            policy=policy or RetryPolicy(),
            deadline_seconds=7200,
        )

    async def close(self) -> None:
        """Close the connections; the next run opens its own."""
        if self.made:
            await self.made.close()
            self.made = None

    def states(self) -> Counter[str]:
        return Counter(str(row[0]) for row in self.ledger._connection.execute("SELECT state FROM submission"))


def timed(tmp_path: Path, scene: Callable[[Timed], Any], **destination: Any) -> None:
    """Play a scene with the real biller and the real ledger under a clock that can be moved."""

    async def play() -> None:
        async with SandboxBiller() as biller:
            one = Timed(tmp_path / "state", biller, **destination)
            try:
                await scene(one)
            finally:
                await one.close()
                one.ledger.close()
            assert biller.books.violations == []

    asyncio.run(play())


def test_D12_past_the_key_window_nothing_is_replayed_blindly(tmp_path: Path) -> None:
    async def scene(one: Timed) -> None:
        one.queue(1)
        one.biller.faults.lose_answer = 1.0
        await one.run(policy=RetryPolicy(idle_seconds=0))
        assert one.states() == {"in-doubt": 1}
        one.biller.faults.lose_answer = 0.0
        one.clock.ahead += 23 * 3600
        taken = one.biller.requests["submissions"]
        report = await one.run()
        assert (report.accepted, report.look_ups) == (1, 1) and one.biller.requests["submissions"] == taken

    timed(tmp_path, scene)


@pytest.mark.parametrize(
    ("status", "retry_after", "ends"),
    [(408, "", "accepted"), (425, "0", "accepted"), (429, "2", "accepted"), (503, "nonsense", "accepted"), (413, "", "held")],
)
def test_D13_what_may_heal_is_tried_again_and_what_cannot_is_held(
    tmp_path: Path, status: int, retry_after: str, ends: str
) -> None:
    async def scene(one: Timed) -> None:
        one.queue(1)
        one.biller.faults.busy, one.biller.faults.busy_status, one.biller.faults.retry_after = 1.0, status, retry_after
        await one.run(policy=RetryPolicy(idle_seconds=0, first_delay_seconds=9))
        assert one.states() == {"held" if ends == "held" else "queued": 1}, "surely not taken: no doubt"
        one.biller.faults.busy = 0.0
        one.clock.ahead += 60
        await one.run()
        assert one.states() == {ends: 1}

    timed(tmp_path, scene)


HOUR = 3600.0


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("120", 120.0, 140.0),
        ("{in two minutes}", 118.0, 140.0),
        ("{yesterday}", 0.0, 20.0),
        ("soon", 0.0, 20.0),
        ("-5", 0.0, 20.0),
        ("315360000", HOUR, HOUR),
        ("{in ten years}", HOUR, HOUR),
    ],
)
def test_D13_retry_after_is_kept_in_both_forms_and_nonsense_is_clamped(
    tmp_path: Path, asked: str, least: float, most: float
) -> None:
    """Nobody is called before the time that he asked for, and nobody is left alone for ten years."""
    now = datetime.now(UTC)
    forms = {
        "{in two minutes}": timedelta(minutes=2),
        "{yesterday}": timedelta(days=-1),
        "{in ten years}": timedelta(days=3652),
    }

    async def scene(one: Timed) -> None:
        one.queue(1)
        one.biller.faults.busy, one.biller.faults.busy_status = 1.0, 429
        one.biller.faults.retry_after = format_datetime(now + forms[asked], usegmt=True) if asked in forms else asked
        await one.run(policy=RetryPolicy(idle_seconds=0, first_delay_seconds=9))
        due = one.outbox.next_due_at()
        assert due is not None and least - 5 <= due - one.clock.now() <= most, due - one.clock.now()
        one.biller.faults.busy, tried = 0.0, one.biller.requests["busy"]
        assert tried == 1
        if least > 60:
            one.clock.ahead += least - 30
            await one.run(policy=RetryPolicy(idle_seconds=0))
            assert one.states() == {"queued": 1}, "not a minute early"
        one.clock.ahead += most + 5
        await one.run(policy=RetryPolicy(idle_seconds=0))
        assert one.states() == {"accepted": 1}

    timed(tmp_path, scene)


def test_D13_attempts_are_bounded_and_what_is_given_up_waits_for_a_person(tmp_path: Path) -> None:
    async def scene(one: Timed) -> None:
        one.queue(1)
        one.biller.faults.busy, one.biller.faults.busy_status = 1.0, 503
        for _ in range(20):
            await one.run(policy=RetryPolicy(idle_seconds=0))
            one.clock.ahead += HOUR
        assert one.states() == {"held": 1}
        assert one.biller.requests["busy"] == RetryPolicy().max_attempts
        one.biller.faults.busy = 0.0
        await one.run()
        assert one.states() == {"held": 1}, "nobody tries again by himself"

    timed(tmp_path, scene)


def test_D14_an_open_breaker_asks_at_most_every_half_minute_and_clinics_of_one_biller_share_it(tmp_path: Path) -> None:
    from ptbridge.delivery import Pace

    async def scene(one: Timed) -> None:
        for number in range(40):
            one.queue(number)
        policy, tries = RetryPolicy(), []
        pace = Pace.new(policy, one.clock.monotonic())
        destination = one.destination("http://127.0.0.1:9")
        submit = destination.submit

        async def counted(submission: Submission) -> Acknowledgement:
            tries.append(one.clock.now())
            return await submit(submission)

        destination.submit = counted  # type: ignore[method-assign]
        for _ in range(3):  # three clinics, one after the other
            report = await deliver(
                one.outbox, destination, in_flight=4, clock=one.clock, policy=policy, deadline_seconds=60, pace=pace
            )
            assert report.ended == "breaker-open"
        assert len(tries) < policy.breaker_failures + 4
        first = len(tries)
        one.clock.ahead += policy.probe_seconds
        await deliver(one.outbox, destination, in_flight=4, clock=one.clock, policy=policy, deadline_seconds=60, pace=pace)
        assert len(tries) == first + 1, "one probe"
        await destination.close()
        assert one.states() == {"queued": 40}

    timed(tmp_path, scene)


@pytest.mark.parametrize("taken", [False, True])
def test_D14_errors_for_everybody_for_a_month_put_few_in_doubt_and_leave_nothing_to_retry(tmp_path: Path, taken: bool) -> None:
    """A thousand charges, and a biller that answers 500 to each: before it takes a charge, or after it."""

    async def scene(one: Timed) -> None:
        for number in range(1000):
            one.queue(number)
        faults, quick = one.biller.faults, RetryPolicy(idle_seconds=0)
        faults.busy, faults.busy_status, faults.error_after_commit = float(not taken), 500, float(taken)
        for night in range(30):
            report = await one.run(policy=quick, in_flight=8)
            assert (report.ended, report.accepted, dict(report.held)) == ("failing", 0, {})
            assert report.attempts <= (quick.error_answers + 8 if night == 0 else 1)
            one.clock.ahead += DAY_SECONDS
        assert set(one.states()) == {"queued", "in-doubt"} and one.states()["in-doubt"] <= quick.error_answers + 8 + 29
        stood = len(one.biller.books.history)
        assert stood == (one.states()["in-doubt"] if taken else 0)
        faults.busy = faults.error_after_commit = 0.0
        report = await one.run(policy=quick, in_flight=8)
        assert one.states() == {"accepted": 1000} and (report.ended, report.look_ups > 10) == ("done", True)
        created = [name for event, name, _ in one.biller.books.history if event == "created"]
        assert len(created) == len(set(created)) == 1000, "each once; what had been taken was looked up"

    timed(tmp_path, scene)


def test_D15_effects_of_one_day_arrive_in_order_and_a_stuck_day_stops_only_itself(tmp_path: Path) -> None:
    async def scene(one: Timed) -> None:
        stuck = "pt-" + f"{1:024x}"
        one.biller.faults.refuse = lambda document: False
        one.queue(1)
        for number in range(2, 12):
            one.queue(number)
        one.ledger._connection.execute("UPDATE submission SET next_at = next_at + 50 WHERE reference = ?", (stuck,))
        await one.run(policy=RetryPolicy(idle_seconds=0))
        assert one.states() == {"accepted": 10, "queued": 1}
        one.clock.ahead += 60
        await one.run()
        one.queue(1, revision=2, frequency=Frequency.REPLACEMENT, units=3)
        await one.run()
        assert [event for event, name, _ in one.biller.books.history if name == stuck] == ["created", "replaced"]

    timed(tmp_path, scene)


def test_D15_a_correction_waits_for_the_answer_about_what_it_corrects(tmp_path: Path) -> None:
    """The first version is in doubt and not due yet; the second is due, and is not sent before the doubt is settled."""

    async def scene(one: Timed) -> None:
        stuck = "pt-" + f"{1:024x}"
        one.queue(1)
        one.biller.faults.lose_answer = 1.0
        await one.run(policy=RetryPolicy(idle_seconds=0, first_delay_seconds=900, max_delay_seconds=900))
        one.biller.faults.lose_answer = 0.0
        one.ledger._connection.execute("UPDATE submission SET next_at = next_at + 900")
        one.queue(1, revision=2, frequency=Frequency.REPLACEMENT, units=3)
        for number in range(2, 6):
            one.queue(number)
        due = one.outbox.due(now=one.clock.now() + 1, limit=50)
        assert [item.submission.reference for item in due] == [f"pt-{number:024x}" for number in range(2, 6)]
        for _ in range(3):
            one.clock.ahead += 2000
            await one.run(policy=RetryPolicy(idle_seconds=0))
        assert [event for event, name, _ in one.biller.books.history if name == stuck] == ["created", "replaced"]
        assert one.states() == {"accepted": 6}

    timed(tmp_path, scene)


def test_D16_a_poisoned_item_is_held_with_its_bytes_and_delays_nobody(world: World) -> None:
    world.biller.faults.refuse = lambda document: document["lines"][0]["procedure"] == "97150"
    report = world.sync()
    assert report.submissions_sent == 53
    dead = jobs.dead_letters(world.config)
    assert len(dead) == 3
    kept = rows(world, "SELECT length(body) FROM submission JOIN submission_body ON submission_id = id WHERE state = 'held'")
    assert len(kept) == 3 and all(length > 100 for (length,) in kept)
    world.biller.faults.refuse = 0.0
    for _ in range(2):
        jobs.retry(world.config)
    assert Counter(name for event, name, _ in history(world) if event == "created")[dead[0]["id"]] == 1
    world.agrees()


# ---------------------------------------------------------------- change


def test_D17_a_late_edit_never_makes_a_second_original(world: World) -> None:
    text = world.clinic_file.read_text()
    world.clinic_file.write_text(text + '\nchanges: {hold_window_minutes: "30"}\n')
    world.sync()
    world.store.edit_visit(VISIT, {"97112": 40})
    world.sync()
    assert sent(world) == [("1", "replaced"), ("1", "queued")], "not pushed: replaced in place"
    world.clinic_file.write_text(text)
    jobs.retry(world.config, name=VISIT, reason="now")
    world.store.edit_visit(VISIT, {"97112": 24})
    world.sync()
    assert sent(world)[-2:] == [("1", "accepted"), ("7", "accepted")]


def test_D18_an_older_version_after_a_newer_one_changes_nothing_and_is_recorded(world: World) -> None:
    """The source answers with yesterday's state once more, as a lagging replica does; then with today's again."""
    world.sync()
    stale = {
        kind: [(entry.id, entry.body, entry.version) for entry in world.store.shelf(kind).by_encounter.get(VISIT, [])]
        for kind in ("Procedure",)
    }
    encounter = world.store.shelf("Encounter").by_id[VISIT]
    old = encounter.body, encounter.version
    world.store.edit_visit(VISIT, {"97112": 40})
    world.sync()
    assert sent(world)[-1] == ("7", "accepted")
    before = world.books()["events"]
    newer = {entry.id: (entry.body, entry.version) for entry in world.store.shelf("Procedure").by_encounter[VISIT]}
    newest = encounter.body, encounter.version
    for id_, body, version in stale["Procedure"]:
        entry = world.store.shelf("Procedure").by_id[id_]
        entry.body, entry.version = body, version
    encounter.body, encounter.version = old
    rescan(world)
    world.sync()
    stood = world.books()["events"]
    for id_, (body, version) in newer.items():
        entry = world.store.shelf("Procedure").by_id[id_]
        entry.body, entry.version = body, version
    encounter.body, encounter.version = newest
    rescan(world)
    world.sync()
    assert stood == before == world.books()["events"]
    kinds = [row[0] for row in rows(world, "SELECT event FROM history WHERE entity = 'visit'")]
    assert "stale" in kinds
    world.agrees()


def rescan(world: World) -> None:
    with Ledger.open(world.folder / "state") as ledger:
        ledger._connection.execute("DELETE FROM cursor WHERE name LIKE '%rescan%'")


def test_D19_what_is_taken_back_at_the_source_is_taken_back_at_the_biller_once(world: World) -> None:
    world.sync()
    world.store.edit("Encounter", VISIT, lambda encounter: encounter.update(status="entered-in-error"))
    world.store.delete("Encounter", "enc-0004")
    rescan(world)
    world.sync()
    world.sync()
    assert Counter(event for event, *_ in history(world))["voided"] == 2
    assert jobs.changes(world.config) == []
    world.agrees()


def test_D20_test_data_is_never_billed(world: World) -> None:
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HTEST"}

    def mark(resource: dict[str, Any]) -> None:
        resource["meta"]["security"] = [label]

    world.store.edit("Encounter", VISIT, mark)
    patient = str(world.store.resource("Encounter", "enc-0003")["subject"]["reference"]).partition("/")[2]
    world.store.edit("Patient", patient, mark)
    world.sync()
    held = {visit: row["reasons"] for row in jobs.held(world.config) for visit in row["visits"]}
    assert "DC13" in {reason["code"] for reason in held[VISIT]} & {reason["code"] for reason in held["enc-0003"]}
    assert not sent(world)
    from ptbridge.errors import ConfigError

    with pytest.raises(ConfigError, match="cannot be released"):
        jobs.release(world.config, VISIT, "send it")


# ---------------------------------------------------------------- process


def test_D29_a_stop_ends_within_ten_seconds_and_leaves_nothing_unsaid(world: World) -> None:
    """The next run meets a biller that still works on what was cut off: it says so to fewer than make everybody pause."""
    text = world.clinic_file.read_text()
    world.clinic_file.write_text(text.replace("destination:\n", 'destination:\n  in_flight: "4"\n'))
    world.biller.faults.answer_delay_seconds = 8.0  # longer than a stop waits for
    command = [sys.executable, "-m", "ptbridge", "sync", "--config", str(world.folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        while not world.biller.requests["submissions"]:
            time.sleep(0.02)
        run.send_signal(signal.SIGTERM)
        assert run.wait(timeout=10) == 130
    states = Counter(str(row[0]) for row in rows(world, "SELECT state FROM submission"))
    assert states["in-doubt"] == world.biller.requests["submissions"] and states["sending"] == 0
    world.biller.faults.answer_delay_seconds = 0.0
    world.sync()
    assert world.books()["charges"] == 56 and world.biller.requests["replays"] > states["in-doubt"] == 4
    world.agrees()


# ---------------------------------------------------------------- a refused credential, a long outage


def test_a_refused_credential_is_one_line_keeps_queueing_and_resumes_by_itself(world: World) -> None:
    token = world.folder / "secrets" / "biller_token"
    good = token.read_text()
    token.write_text("expired")
    first = world.sync()
    assert first.exit_code == 5 and len(first.errors) == 1 and first.visits["queued"] == 57
    world.store.edit_visit(VISIT, {"97112": 40})
    second = world.sync()
    assert len(second.errors) == 1 and second.visits["queued"] >= 1
    assert second.refused_since == first.refused_since == first.started_at
    alarms = jobs.status(world.config)["riverside-pt"]["alarms"]
    assert [alarm for alarm in alarms if alarm["kind"] == "refused" and first.started_at in alarm["text"]]
    token.write_text(good)
    assert world.sync().submissions_sent == 56
    assert not [alarm for alarm in jobs.status(world.config)["riverside-pt"]["alarms"] if alarm["kind"] == "refused"]
    world.agrees()


def test_a_biller_with_an_error_for_everything_is_told_with_exit_code_5_and_settled_by_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptbridge.jobs.run.RetryPolicy", partial(RetryPolicy, idle_seconds=5, max_delay_seconds=0.05))
    world.biller.faults.error_after_commit = 1.0
    report = world.sync()
    assert report.exit_code == 5 and report.delivery["ended"] == "failing"
    assert report.errors == ["the biller answers everything with an error of its own (5xx); the next run asks again"]
    waiting = Counter(row["state"] for row in jobs.status(world.config)["riverside-pt"]["waiting"])
    assert set(waiting) == {"queued", "in-doubt"}
    assert waiting["in-doubt"] <= 10 + 16, "ten in a row, and what was in flight beside them"
    world.biller.faults.error_after_commit = 0.0
    report = world.sync()
    assert report.exit_code != 5 and not report.waiting
    world.agrees()


def test_an_outage_of_45_days_loses_nothing_and_drains_in_order_under_the_rate_limit(tmp_path: Path) -> None:
    """Two runs a day; one answer is in doubt from the moment the biller went. Real ledger, real HTTP, only time is virtual."""
    per_day, rate, quick = 4, 60.0, RetryPolicy(idle_seconds=0)

    async def scene(one: Timed) -> None:
        one.queue(0)
        one.biller.faults.lose_answer = 1.0
        await one.run(policy=RetryPolicy(idle_seconds=0))
        assert one.states() == {"in-doubt": 1}
        one.biller.faults.lose_answer = 0.0
        await one.biller.stop()
        number = 0
        for day in range(45):
            for _ in range(per_day):
                number += 1
                one.queue(number)
            if day % 15 == 7:  # a correction of what waits replaces it in place
                one.queue(number, revision=2, units=3)
            for _ in range(2):
                report = await one.run(policy=quick)
                assert report.ended in ("breaker-open", "later", "deadline") and not report.held and not report.accepted
                one.clock.ahead += DAY_SECONDS / 2
        assert one.states() == {"queued": 45 * per_day, "in-doubt": 1, "replaced": 3}
        await one.biller.start()
        await one.close()
        one.limiter = RateLimiter(rate)
        before = len(one.biller.books.history)
        report = await one.run(in_flight=8)
        while one.states()["queued"] or one.states()["in-doubt"]:
            one.clock.ahead += 600
            report = await one.run(in_flight=8)
        assert one.states() == {"accepted": 45 * per_day + 1, "replaced": 3} and report.ended == "done"
        created = [int(name[3:], 16) for event, name, _ in one.biller.books.history[before:] if event == "created"]
        assert sorted(created) == list(range(1, number + 1)), "each once, and the doubt was looked up, not sent again"
        assert all(abs(place - one) < 8 for place, one in enumerate(created, 1)), (
            "in order, but for what was in flight together"
        )
        assert one.biller.peak_per_second() <= rate + 8, "its limit, and what was in flight together"
        ours = dict(one.ledger.accounts.live("oak"))
        assert one.made is not None
        assert await one.made.list_references(("2026-11-01", "2026-11-30")) == ours, "and the corrected content of each"
        assert sorted(units for units, _ in ours.values())[-4:] == [3, 4, 4, 4]

    timed(tmp_path, scene)


def test_all_clinics_of_one_biller_share_one_rate(world: World) -> None:
    from ptbridge.jobs.peers import http_client

    config = world.config
    spec = config.clinics["riverside-pt"]
    first = http_client(config, "https://biller.example/a", spec.source.auth, 5.0, 2)
    second = http_client(config, "https://Biller.example/b", spec.source.auth, 0.0, 2)
    assert first.limiter is second.limiter
    third = http_client(config, "https://biller.example/a", spec.source.auth, 2.0, 2)
    assert (
        third.limiter is not first.limiter
        and third.limiter is http_client(config, "https://biller.example", spec.source.auth, 9.0, 2).limiter
    ), "the strictest that was named"
