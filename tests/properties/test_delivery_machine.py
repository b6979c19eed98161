"""Edits at the EMR, faults at the biller, crashes, restarts, restored backups and a clock that jumps, in any order, against a
small model.

Everything is real but the clock and the moment of a crash: the ledger's file, both servers on loopback, the run itself. The
biller has no protection of its own against a second charge. After every step the contract is asked: D1 conservation, D2 one
live charge, D15 order and D18 no stale version, D25 a restored state asks the biller before it sends, and doubles nothing.
`PTBRIDGE_MACHINE_EXAMPLES=500` plays longer.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ptbridge_sandbox import charting, demo
from ptbridge_sandbox.biller_faults import Faults
from ptbridge_sandbox.late_edits import procedure_code
from ptbridge_sandbox.maker import Scale
from ptbridge_sandbox.plan import TIMED, Line, emr_units
from ptbridge_sandbox.store import Store

from ptbridge import jobs
from ptbridge.jobs import backup as backups
from ptbridge.jobs import run as running_jobs
from ptbridge.ledger import Ledger, database
from tests.world import DAY, World, running

EXAMPLES = int(os.environ.get("PTBRIDGE_MACHINE_EXAMPLES", "5"))
SCALE = Scale(400, days=2, last_day=DAY)
FIRST_VISITS = 4
CLINIC = demo.CLINIC

# D1: what was read is of a day, and a day on its way has a submission on its way.
_IN_NO_DAY = "SELECT count(*) FROM visit WHERE state = 'read' AND day_id IS NULL"
_WAITS_FOR_NOTHING = """
SELECT d.id FROM treatment_day d WHERE d.state = 'queued' AND NOT EXISTS (SELECT 1 FROM submission s WHERE s.day_id = d.id
 AND s.state IN ('queued', 'sending', 'in-doubt'))
"""


class Crash(BaseException):
    """The process ends here, as `kill -9` does: nothing that follows runs."""


class ImpatientClock:
    """Real time for what is stored, and no waiting: a nap moves it forward. `wrong`: what the wall clock shows beside it."""

    ahead = 0.0
    wrong = 0.0

    def now(self) -> float:
        return _SYSTEM.now() + ImpatientClock.ahead + ImpatientClock.wrong

    def monotonic(self) -> float:
        return _SYSTEM.monotonic() + ImpatientClock.ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.005))
        ImpatientClock.ahead += seconds


_SYSTEM = running_jobs.SystemClock()


class DeliveryMachine(RuleBasedStateMachine):
    """The model is the EMR's own documentation: what each visit there says is what the biller must have once it is calm."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="ptbridge-machine-")
        self.store = Store()
        for resource in SCALE.shared():
            self.store.add(resource)
        self.numbers = count()
        self.context = running(Path(self.folder.name) / "config", self.store)
        self.world: World = self.context.__enter__()
        self.world.biller.books.strict = False
        self.backup: Path | None = None
        self.restores = 0
        self.taken_at_restore = 0
        self.versions: dict[str, tuple[int, int]] = {}  # by key: after how many restores it was first seen, its revision
        ImpatientClock.wrong = 0.0
        self.patched = (running_jobs.SystemClock, database.transaction)
        running_jobs.SystemClock = ImpatientClock  # type: ignore[misc,assignment]

    def teardown(self) -> None:
        try:
            self.calm()
        finally:
            running_jobs.SystemClock, database.transaction = self.patched  # type: ignore[misc]
            self.context.__exit__(None, None, None)
            self.folder.cleanup()

    # ------------------------------------------------------------ the EMR

    @initialize()
    def a_few_visits(self) -> None:
        for _ in range(FIRST_VISITS):
            self.new_visit()

    @rule()
    def new_visit(self) -> None:
        number = next(self.numbers)
        plan = SCALE.plan(number)
        patient = f"pat-{number % SCALE.patients:06d}"
        plan = replace(
            plan, patient_id=patient, payer=SCALE.payer(number % SCALE.patients), authorization=None, shows_units=False
        )
        for resource in charting.chart(plan):
            resource.pop("meta", None)
            self.world.in_servers(lambda resource=resource: self.store.add(resource))

    @rule(which=st.integers(0, 30), line=st.integers(0, 3), minutes=st.integers(8, 52))
    def edit_minutes(self, which: int, line: int, minutes: int) -> None:
        if visit := self.some_visit(which):
            codes = [code for code in self.documented(visit) if code in TIMED]
            self.world.in_servers(lambda: self.store.edit_visit(visit, {codes[line % len(codes)]: minutes}))

    @rule(which=st.integers(0, 30))
    def enter_in_error(self, which: int) -> None:
        if (visit := self.some_visit(which)) and len(self.visits()) > 2:
            wrong = lambda resource: resource.update(status="entered-in-error")  # noqa: E731
            self.world.in_servers(lambda: self.store.edit("Encounter", visit, wrong))

    def visits(self) -> list[str]:
        """The visits that bill."""
        shelf = self.store.shelf("Encounter")
        return sorted(name for name, entry in shelf.by_id.items() if entry.status == "finished")

    def some_visit(self, which: int) -> str | None:
        found = self.visits()
        return found[which % len(found)] if found else None

    def documented(self, visit: str) -> dict[str, int]:
        """Minutes by code."""
        found: dict[str, int] = {}
        for entry in self.store.shelf("Procedure").by_encounter.get(visit, []):
            resource = self.store.resource("Procedure", entry.id)
            (minutes,) = [one["valueQuantity"]["value"] for one in resource["extension"] if one["url"].endswith("/minutes")]
            found[procedure_code(resource)] = minutes
        return found

    def should(self) -> Counter[str]:
        """What the model expects at the biller: charges and units, counted by the pretend EMR's own code."""
        total: Counter[str] = Counter()
        for visit in self.visits():
            lines = tuple(Line(code, minutes) for code, minutes in self.documented(visit).items())
            reference = self.store.resource("Encounter", visit)["subject"]["reference"]
            payer = SCALE.payer(int(reference.rpartition("-")[2]))
            total["charges"] += 1
            total["units"] += sum(emr_units(lines, payer).values()) + sum(line.code not in TIMED for line in lines)
        return total

    # ------------------------------------------------------------ runs

    @rule(
        busy=st.sampled_from((0.0, 0.3, 1.0)),
        lost=st.sampled_from((0.0, 0.4)),
        broken=st.sampled_from((0.0, 0.3)),
        refuse=st.sampled_from((0.0, 0.0, 0.3)),
        seed=st.integers(0, 999),
    )
    def a_run_in_bad_weather(self, busy: float, lost: float, broken: float, refuse: float, seed: int) -> None:
        self.world.biller.faults = Faults(
            busy=busy, lose_answer=lost, error_after_commit=broken, wrong_reference=broken, refuse=refuse, seed=seed
        )
        self.world.sync()
        self.world.biller.faults = Faults()

    @rule(days=st.sampled_from((-3.0, -0.1, 1.0, 3.0)))
    def the_clock_jumps(self, days: float) -> None:
        """And stays wrong until somebody sets it right, or it jumps again (D26)."""
        ImpatientClock.wrong = days * 86_400.0

    @rule()
    def a_person_tries_again(self) -> None:
        """What the biller refused is sent once more."""
        if self.has_ledger():
            jobs.retry(self.world.config, reason="asked the biller", actor="owner")

    @rule(transactions=st.integers(1, 25), after=st.booleans(), lost=st.sampled_from((0.0, 0.5)), seed=st.integers(0, 999))
    def a_run_that_is_killed(self, transactions: int, after: bool, lost: float, seed: int) -> None:
        """At the n-th transaction: before it begins, or right after it was made durable."""
        self.world.biller.faults = Faults(lose_answer=lost, seed=seed)
        left, plain = iter(range(transactions)), database.transaction

        def counted(connection: Any) -> Any:
            if next(left, None) is None:
                if after:
                    with plain(connection):
                        pass
                raise Crash
            return plain(connection)

        import ptbridge.ledger.ledger as ledger_module
        import ptbridge.ledger.outbox as outbox_module

        before = outbox_module.transaction
        database.transaction = outbox_module.transaction = counted
        try:
            self.world.sync()
        except Crash:
            pass
        finally:
            database.transaction, outbox_module.transaction = plain, before
            self.world.biller.faults = Faults()
        assert ledger_module.database is database

    @rule()
    def a_quiet_run(self) -> None:
        self.world.sync()

    @rule()
    def make_a_backup(self) -> None:
        if self.has_ledger():
            file = Path(self.folder.name) / "backup.tar"
            file.unlink(missing_ok=True)
            backups.backup(self.world.config, file)
            self.backup = file

    @precondition(lambda self: self.backup is not None and self.restores < 2)
    @rule()
    def restore_the_backup(self) -> None:
        assert self.backup is not None
        self.note_versions()  # the restored ledger will not know them
        self.restores += 1
        backups.restore(self.world.config, self.backup, replace=True)
        self.taken_at_restore = len(self.world.biller.books.history)

    @precondition(lambda self: self.restores < 2)
    @rule(minutes=st.integers(8, 52))
    def an_old_backup_comes_back(self, minutes: int) -> None:
        """D25 in one step, so that it is played often: a visit is sent after the backup and edited before the next run."""
        self.make_a_backup()
        self.new_visit()
        self.world.sync()
        if self.backup is not None:
            self.restore_the_backup()
            self.edit_minutes(-1, 0, minutes)
            self.world.sync()

    @rule(transactions=st.integers(3, 12), minutes=st.integers(8, 52))
    def an_edit_of_what_was_being_sent(self, transactions: int, minutes: int) -> None:
        """D15 and D18 in one step: killed around the start of a sending, edited, and sent by the next run."""
        self.new_visit()
        self.a_run_that_is_killed(transactions, True, 0.0, 0)
        self.edit_minutes(-1, 0, minutes)
        self.world.sync()

    @rule()
    def calm(self) -> None:
        """Nothing goes wrong until nothing waits: now the biller has what the EMR says, and nothing else."""
        ImpatientClock.wrong = 0.0
        self.a_person_tries_again()
        for _ in range(6):
            ImpatientClock.ahead += 600.0  # a scheduler comes back later: what waits for its next try is due by then
            report = self.world.sync()
            if report.exit_code in (0, 3):
                break
        assert report.exit_code in (0, 3), report
        books = self.world.biller.books
        totals = books.totals()
        assert {key: totals[key] for key in ("charges", "units")} == dict(self.should()), self.explained()

    def explained(self) -> str:
        return "; ".join(f"{visit}: {self.documented(visit)}" for visit in self.visits())

    # ------------------------------------------------------------ the contract

    def has_ledger(self) -> bool:
        return (self.world.folder / "state" / "ledger.sqlite").exists()

    @invariant()
    def D2_at_most_one_live_charge(self) -> None:
        assert self.world.biller.summary()["violations"] == []
        assert all(len(live) <= 1 for live in self.world.biller.books.live.values())

    @invariant()
    def D1_everything_is_accounted_for(self) -> None:
        """Each visit and line that was read has one fate; what is sent, in units and cents, is what the submissions say."""
        if not self.has_ledger():
            return
        with Ledger.open(self.world.config.state, write=False) as ledger:
            visits, lines = ledger.accounts.fates(CLINIC, 0, everything=True)
            rows = ledger._connection.execute("SELECT count(*), sum(lines) FROM visit").fetchone()
            assert visits.total() == rows[0] and lines.total() == (rows[1] or 0)
            assert ledger._connection.execute(_IN_NO_DAY).get == 0, "a visit that was read belongs to no day"
            assert ledger._connection.execute(_WAITS_FOR_NOTHING).fetchall() == [], "a day waits, and nothing of it does"

    @invariant()
    def D15_D18_versions_reach_the_biller_in_order(self) -> None:
        """What the biller took under one reference came in the order of our revisions: never an older one later.

        A restored ledger counts anew from the backup; what it makes is newer than all that was made before the restore.
        """
        if not self.has_ledger():
            return
        self.note_versions()
        newest: dict[str, tuple[int, int]] = {}
        for _, reference, key in self.world.biller.books.history:
            assert self.versions[key] >= newest.get(reference, (0, 0)), "an older version reached the biller after a newer one"
            newest[reference] = self.versions[key]

    def note_versions(self) -> None:
        with Ledger.open(self.world.config.state, write=False) as ledger:
            for key, revision in ledger._connection.execute("SELECT key, revision FROM submission"):
                self.versions.setdefault(str(key), (self.restores, int(revision)))

    @invariant()
    def D25_a_restored_state_asks_before_it_sends(self) -> None:
        if not self.has_ledger():
            return
        with Ledger.open(self.world.config.state, write=False) as ledger:
            if ledger.restored.pending(CLINIC) is not None:
                assert len(self.world.biller.books.history) == self.taken_at_restore, "it sent before it had asked"


TestDelivery = DeliveryMachine.TestCase
TestDelivery.settings = hypothesis.settings(
    max_examples=EXAMPLES,
    stateful_step_count=14,
    deadline=None,
    database=None,
    phases=[hypothesis.Phase.generate],  # a step takes tenths of a second: shrinking a failure would take an hour
    print_blob=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)
