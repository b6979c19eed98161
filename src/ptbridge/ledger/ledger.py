"""The Ledger: what was pulled, held, sent and answered, in one file with one writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ptbridge.errors import LedgerError
from ptbridge.ledger import database, run_numbers, start_check
from ptbridge.ledger.accounts import Accounts
from ptbridge.ledger.answers import Answers
from ptbridge.ledger.asked import Asked
from ptbridge.ledger.authorizations import Authorizations
from ptbridge.ledger.columns import Columns
from ptbridge.ledger.cursors import Cursors
from ptbridge.ledger.days import Days
from ptbridge.ledger.export import Export
from ptbridge.ledger.history import History
from ptbridge.ledger.names import Names
from ptbridge.ledger.outbox import LedgerOutbox
from ptbridge.ledger.patients import Patients
from ptbridge.ledger.provenance import Provenance
from ptbridge.ledger.purge import Purge
from ptbridge.ledger.reserve import Reserve
from ptbridge.ledger.restored import Restored
from ptbridge.ledger.said import Said
from ptbridge.ledger.standings import Standings
from ptbridge.ledger.verify import Checked, KeyOf, Verifier
from ptbridge.ledger.visits import Visits

Now = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


class Ledger:
    """Open with `Ledger.open`; use as a context manager. Parts: `visits`, `days`, `outbox(...)`, `history`, `accounts`,
    `answers`, `standings`, `asked`, `said`, `authorizations`, `columns`, `cursors`, `patients`.
    """

    def __init__(self, connection: database.LedgerConnection, folder: Path, now: Now, lock: database.WriterLock | None) -> None:
        self.folder = folder
        self._connection = connection
        self._lock = lock
        self._reserve = Reserve(folder)
        self._checked_at = 0.0  # Unix seconds; 0: not to be relied on
        self._now = now
        self.history = connection.journal = History(connection, now)
        self.visits = Visits(connection, self.history)
        self.days = Days(connection, self.history)
        self.accounts = Accounts(connection)
        self.answers = Answers(connection, self.history)
        self.standings = Standings(connection)
        self.asked = Asked(connection, self.history)
        self.columns = Columns(connection)
        self.cursors = Cursors(connection)
        self.authorizations = Authorizations(connection)
        self.patients = Patients(connection, self.authorizations)
        self.names = Names(connection)
        self.restored = Restored(connection, self.history, self.names)
        self.said = Said(connection, self.history)
        self.purge = Purge(connection, self.history)
        self.provenance = Provenance(connection, self.history)

    @classmethod
    def open(cls, folder: Path, *, write: bool = True, now: Now = utc_now) -> Ledger:
        """Open the ledger of a state folder.

        With `write`, takes the writer's lock (LedgerBusy when another process has it) and brings the schema up to date.
        Raises LedgerError when the file is damaged, from a newer ptbridge, or missing for a reader.
        """
        if write:
            database.prepare_folder(folder)
        lock = database.WriterLock(folder) if write else None
        connection, checked_at = None, 0.0
        path = folder / database.FILE_NAME
        found_as = start_check.state_of(path)
        try:
            connection = database.connect(folder, write=write)
            if lock:
                checked_at = start_check.check(connection, path, lock, found_as)
        except BaseException:
            if connection:
                connection.close()
            if lock:
                lock.release()
            raise
        ledger = cls(connection, folder, now, lock)
        ledger._checked_at = checked_at
        if lock:
            ledger._reserve.keep()
        return ledger

    @classmethod
    def of(cls, connection: database.LedgerConnection, folder: Path, now: Now = utc_now) -> Ledger:
        """A ledger on a connection that the caller opened, such as a copy that is not in its place yet."""
        return cls(connection, folder, now, None)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, _type: object, error: object, _traceback: object) -> None:
        if isinstance(error, LedgerError):
            self._checked_at = 0.0  # the next one looks through the file
        self.close()

    def close(self) -> None:
        """Close the file and give up the writer's lock."""
        try:
            self.history.flush()
        finally:
            self._release()

    def _release(self) -> None:
        if self._lock:
            self._reserve.give_up()  # first: closing brings the log into the file, which may want room
        self._connection.close()
        if self._lock:
            if self._checked_at:
                start_check.leave_note(self.folder / database.FILE_NAME, self._lock, self._checked_at)
            self._lock.release()
            self._lock = None

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing; durable on exit of the outermost."""
        return database.transaction(self._connection)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Everything written inside is taken back at the end: what a dry run does, it does for real, and then not."""
        self._connection.execute("SAVEPOINT rehearsal")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK TO rehearsal; RELEASE rehearsal")
            self.history.forget()

    def outbox(self, clinic: str, destination: str) -> LedgerOutbox:
        """The submissions of one clinic to one destination, as delivery sees them."""
        return LedgerOutbox(self._connection, self.history, clinic, destination, self._reserve.give_up)

    def verify(self, key_of: KeyOf, noted: tuple[int, str] | None = None) -> Iterator[Checked]:
        """Every check of `ledger/verify.py` on this ledger, in turn."""
        return Verifier(self._connection, key_of).run(noted)

    def export(self, *, phi: bool) -> Export:
        """The accounting line by line."""
        return Export(self._connection, phi=phi)

    def integrity(self) -> list[str]:
        """What is wrong with the file; empty when sound."""
        return database.integrity(self._connection)

    # ------------------------------------------------------------ runs, cursors, standing

    def begin_run(self, clinic: str) -> int:
        """Record that a run starts; later writes carry its id, which no run before it had, also in a ledger put aside since."""
        with self.transaction():
            self._connection.execute(
                f"INSERT INTO run (id, clinic, started_at) VALUES (({run_numbers.NEXT}), ?, ?)",  # noqa: S608
                (clinic, self._now().isoformat(timespec="seconds")),
            )
            self.history.run_id = self._connection.last_insert_rowid()
        return self.history.run_id

    def end_run(self, run_id: int, summary: str) -> None:
        """Record how a run ended; `summary` is JSON without patient data."""
        with self.transaction():
            self._connection.execute(
                "UPDATE run SET finished_at = ?, summary = ? WHERE id = ?",
                (self._now().isoformat(timespec="seconds"), summary, run_id),
            )

    def cursor(self, clinic: str, source: str, address: str | None = None) -> dict[str, str]:
        """Where the pull of this source stands, at this address or wherever it is; empty before the first run there."""
        return self.cursors.read(clinic, source, address)

    def move_cursor(self, clinic: str, source: str, values: Mapping[str, str], address: str = "") -> None:
        """Move the cursor. Call inside the transaction of the data that it covers (contract D8)."""
        self.cursors.move(clinic, source, values, address)

    def fingerprint(self, clinic: str) -> str | None:
        """What the held days of this clinic were last judged with."""
        row = self._connection.execute("SELECT fingerprint FROM standing WHERE clinic = ?", (clinic,)).fetchone()
        return str(row[0]) if row else None

    def set_fingerprint(self, clinic: str, fingerprint: str) -> None:
        """Remember what the held days were judged with."""
        self._connection.execute(
            "INSERT INTO standing VALUES (?, ?) ON CONFLICT (clinic) DO UPDATE SET fingerprint = excluded.fingerprint",
            (clinic, fingerprint),
        )
