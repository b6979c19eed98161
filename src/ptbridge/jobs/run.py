"""One run for one clinic: pull, make durable, judge what changed, deliver, settle. The night job."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Coroutine
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import msgspec

from ptbridge.delivery import DeliveryReport, Pace, RetryPolicy, SystemClock, deliver
from ptbridge.errors import PeerError, PeerRefused, PeerUnavailable, PtbridgeError
from ptbridge.inbox import Taken
from ptbridge.jobs import settle
from ptbridge.jobs.addresses import address_of, begins_anew
from ptbridge.jobs.agreement import agreement_after
from ptbridge.jobs.answers import take_answers
from ptbridge.jobs.collector import rare_collections
from ptbridge.jobs.drop_folder import refused_files
from ptbridge.jobs.environments import keep_apart
from ptbridge.jobs.extracts import LedgerKnows
from ptbridge.jobs.judging import Progress, judge_waiting
from ptbridge.jobs.kit import build_kit, fingerprint
from ptbridge.jobs.log_file import log_to
from ptbridge.jobs.peers import has_inbox, open_destination, open_source, origin_of
from ptbridge.jobs.reading import read_again, take, take_up_asked
from ptbridge.jobs.report_data import RunReport
from ptbridge.jobs.restored import settle_restored
from ptbridge.jobs.run_names import ENDED
from ptbridge.jobs.worklist import reopen
from ptbridge.ledger import Ledger
from ptbridge.pipeline import Kit
from ptbridge.plugins import connector
from ptbridge.ports import Destination
from ptbridge.specs.clinic import ClinicSpec, DestinationSpec
from ptbridge.specs.config import Config

log = logging.getLogger(__name__)

T = TypeVar("T")

PASSES = 4  # judge and deliver again for days that waited for an answer about an earlier version
DELIVERY_SECONDS = 3600.0  # then the rest stays queued for the next run


def sync(
    config: Config,
    clinic: str | None = None,
    since: date | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[RunReport]:
    """Run every clinic of the config (or one), each by itself: a peer's trouble at one does not stop the next.

    `since` bounds the first pull by service date. `dry_run` does everything but send, and takes it all back.
    Raises LedgerBusy when another process runs on this state folder, LedgerError when the ledger cannot be trusted.
    """
    names = [config.clinic(clinic).clinic] if clinic else list(config.clinics)
    with Ledger.open(config.state) as ledger, log_to(config.logs), rare_collections():
        run = Run(config=config, ledger=ledger, since=since, dry_run=dry_run, progress=progress or _silent)
        return [run.clinic(name) for name in names]


def retry(
    config: Config,
    clinic: str | None = None,
    name: str | None = None,
    reason: str = "",
    actor: str | None = None,
    progress: Progress | None = None,
) -> list[RunReport]:
    """Deliver what waits, now, without pulling; what delivery holds (or the one day `name`) gets a new chance first.

    What is in doubt is looked up at the biller, never resent blindly. Raises as `sync` does, ConfigError for an unknown `name`.
    """
    names = [config.clinic(clinic).clinic] if clinic else list(config.clinics)
    with Ledger.open(config.state) as ledger, log_to(config.logs), rare_collections():
        reopen(ledger, names, name, reason, actor)
        run = Run(config=config, ledger=ledger, pull=False, progress=progress or _silent)
        return [run.clinic(one) for one in names]


def _silent(what: str, count: int) -> None:
    return None


@dataclass(slots=True, kw_only=True)
class Run:
    """The state of one `sync` over the clinics of a config folder."""

    config: Config
    ledger: Ledger
    progress: Progress
    since: date | None = None
    dry_run: bool = False
    pull: bool = True
    errors: list[str] = field(default_factory=list)
    news: dict[str, int] = field(default_factory=dict)  # taken in by this run, by `stage/standing`
    refusals: list[str] = field(default_factory=list)  # of our credential, by the EMR or the biller
    notes: list[str] = field(default_factory=list)  # what somebody should know of this run, and nobody need do
    refused_files: int = 0  # of the drop folder, by this run
    paces: dict[tuple[str, str], Pace] = field(default_factory=dict)  # by platform and where it is
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def clinic(self, name: str) -> RunReport:
        """Run one clinic. What another system does wrong becomes an error of the report, never an exception."""
        self.errors, self.refusals, self.notes, self.news, self.refused_files = [], [], [], {}, 0
        self.stop = asyncio.Event()
        rehearsal = self.ledger.rehearsal() if self.dry_run else nullcontext()
        with rehearsal:
            keep_apart(self.config, self.config.clinics[name], self.ledger)
            run_id = self.ledger.begin_run(name)
            report = RunReport(run_id=run_id, clinic=name, started_at=_now(), dry_run=self.dry_run)
            delivered: DeliveryReport | None = None
            try:
                delivered, report.biller = asyncio.run(self._run(name, run_id))
            except PeerError as error:
                self._note(error)
            report.stopped, report.answers, report.notes = self.stop.is_set(), self.news, self.notes
            report.unread_files = self._unread_files(name)
            settle.settle(self.config, self.ledger, report, delivered, self.errors, self.refusals)
            self.ledger.end_run(run_id, msgspec.json.encode(settle.summary(report)).decode())
            seq, digest = self.ledger.history.head()
            log.info(ENDED, "dry run ahead of run" if self.dry_run else "run", run_id, seq, digest.hex())
        return report

    def _note(self, error: PtbridgeError) -> None:
        """One line for each trouble: a credential that is refused is refused at every door of that peer."""
        if isinstance(error, PeerRefused):
            self.refusals.append(str(error))
        else:
            self.errors.append(str(error))
        log.warning("peer trouble: %s", type(error).__name__)

    async def _run(self, name: str, run_id: int) -> tuple[DeliveryReport | None, dict[str, Any] | None]:
        _stop_on_signal(self.stop)
        spec = self.config.clinics[name]
        today = datetime.now(self.config.time_zone(spec)).date()
        async with open_destination(self.config, spec, run_id=f"{run_id:06d}") as destination:
            kit = build_kit(self.config, spec, destination, today=today)
            outbox = self.ledger.outbox(name, spec.destination.platform)
            outbox.recover(SystemClock().now())
            if not self.dry_run:  # a rehearsal asks for no news: its cursor would not stay
                await self._asked(self._take_news(destination, spec))
            read_again(self.ledger, kit, fingerprint(self.config, today))
            take_up_asked(self.ledger, kit, self.config)
            was_read = self.pull and bool(await self._asked(self._pull(kit)))
            delivered = await self._judge_and_deliver(kit, destination, was_read=was_read)
            if self.dry_run:
                return delivered, None
            return delivered, await self._asked(agreement_after(self.ledger, destination, name, run_id))

    async def _asked(self, asking: Coroutine[Any, Any, T]) -> T | None:
        """What a peer says; None when it is in trouble, which is noted, or when the run is told to stop meanwhile."""
        try:
            return await self._unless_stopped(asking)
        except PeerError as error:
            self._note(error)
            return None

    async def _unless_stopped(self, asking: Coroutine[Any, Any, T]) -> T | None:
        """What a peer says; None when the run is told to stop meanwhile (D29). Raises as `asking` does.

        What was taken before is durable and goes on, and the cursor covers no more than that: a transaction never waits for a
        peer, so a stop cuts none in two.
        """
        task, stopped = asyncio.ensure_future(asking), asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                task.cancel()
            return await task
        except asyncio.CancelledError:
            if not self.stop.is_set():
                raise
            return None
        finally:
            stopped.cancel()

    async def _take_news(self, destination: Destination, spec: ClinicSpec) -> None:
        address = address_of(spec.destination.base_url)
        self.notes += begins_anew(self.ledger, spec, source=False)
        found = await take_answers(self.ledger, destination, spec.clinic, spec.destination.platform, address)
        self.news = found.new if found else {}

    # ------------------------------------------------------------ pull, normalize

    async def _pull(self, kit: Kit) -> bool:
        """Take in what is new. Whether the EMR was read to the end: a run that is told to stop leaves the rest to the next."""
        spec = kit.clinic
        count = 0
        cursor = self.ledger.cursor(spec.clinic, spec.source.connector, address_of(spec.source.base_url))
        self.notes += begins_anew(self.ledger, spec, source=True)
        recheck = self.ledger.visits.keys_of_recent_days(spec.clinic, spec.source.connector)
        async with (
            open_source(
                self.config,
                spec,
                since=self.since,
                recheck=recheck,
                known=LedgerKnows(self.ledger, spec.clinic, spec.source.connector),
                rehearsal=self.dry_run,
                on_files=self._took_files,
            ) as client,
            aclosing(connector(spec.source.connector).pull(client, cursor)) as batches,
        ):
            async for batch in batches:
                take(self.ledger, batch, kit)
                count += len(batch.records)
                self.progress("pulling", count)
                if self.stop.is_set():
                    return False
        return True

    def _took_files(self, taken: Taken) -> None:
        self.refused_files = len(taken.refused)

    def _unread_files(self, name: str) -> dict[str, str]:
        """The drop folder's files that could not be read, as a record that could not be; empty when there are none."""
        spec = self.config.clinics[name]
        if not has_inbox(spec):
            return {}
        files, where = refused_files(self.config, spec, self.refused_files)
        if not files:
            return {}
        many = f"{files} file{'s hold' if files > 1 else ' holds'} something that could not be read"
        fix = "Beside each, .reason.txt says why: have it sent again, or corrected put it back; then take it out of there."
        return {"visit_id": where, "reason": many, "fix": fix, "first_seen_at": _now()}

    # ------------------------------------------------------------ judge, deliver

    async def _judge_and_deliver(self, kit: Kit, destination: Destination, *, was_read: bool) -> DeliveryReport | None:
        spec = kit.clinic
        total: DeliveryReport | None = None
        for _ in range(PASSES):
            self._judge(kit)
            if self.dry_run:
                return None
            if not was_read:
                self._refuse_older_notes(spec.clinic)
            restored = settle_restored(
                self.ledger,
                destination,
                spec.clinic,
                spec.destination.platform,
                kit.today,
                source_tells_again=not has_inbox(spec),
            )
            if await self._unless_stopped(restored):
                self._judge(kit)
            if self.stop.is_set():  # what a restore asks for may not be settled: nothing leaves
                break
            delivered = await deliver(
                self.ledger.outbox(spec.clinic, spec.destination.platform),
                destination,
                in_flight=spec.destination.in_flight,
                clock=SystemClock(),
                policy=RetryPolicy(),
                deadline_seconds=DELIVERY_SECONDS,
                on_progress=self._sent,
                stop=self.stop,
                pace=self._pace(spec.destination),
            )
            total = settle.added(total, delivered)
            if delivered.ended != "done" or not self.ledger.days.dirty(spec.clinic, limit=1):
                break
        return total

    def _refuse_older_notes(self, clinic: str) -> None:
        """A restored ledger that has not read the EMR since holds notes of the backup's time, and the biller newer ones.

        Raises PeerUnavailable: to correct the biller's to the older ones would be a stale charge (D18, D25).
        """
        if self.ledger.restored.pending(clinic) is not None:
            raise PeerUnavailable(
                "restored from a backup, and the EMR was not read since: the biller may have newer notes than this ledger. "
                "Nothing was sent; `ptbridge sync` goes on once the EMR answers."
            )

    def _pace(self, spec: DestinationSpec) -> Pace:
        """The breaker and the budget of this platform, shared by all clinics of this run that it bills for."""
        where = origin_of(spec.base_url) if spec.base_url else spec.folder
        return self.paces.setdefault((spec.platform, where), Pace.new(RetryPolicy(), SystemClock().monotonic()))

    def _sent(self, report: DeliveryReport) -> None:
        self.progress("sending", report.accepted)

    def _judge(self, kit: Kit) -> None:
        judge_waiting(self.ledger, kit, self.progress, self.stop.is_set)


def _stop_on_signal(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT end the run in order: what is in flight is finished or left in doubt, the rest waits (D29)."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
