"""What must be true of a whole ledger, read row by row: the file, the schema, the history's chain, bytes, keys and sums.

Each check yields sentences that name rows by id, never a value; a check that yields none has passed.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import apsw

from ptbridge.ledger import database
from ptbridge.ledger.chain import START, link
from ptbridge.ledger.restored import unknown_content
from ptbridge.model import Frequency

KeyOf = Callable[[str, str, int, Frequency, bytes], str]  # platform, reference, revision, frequency, content -> key
_SHOWN = 20  # problems that one check names; the rest is counted

# Table, bytes, and the SHA-256 that must be theirs. A submission's is its content's, which for an original are its bytes.
_BYTES_SENT = "coalesce((SELECT body FROM submission_body WHERE submission_id = id), x'')"
_DIGESTS = (
    ("source_record", "payload", "sha256", "purged_at IS NULL"),
    ("visit_version", "body", "content_sha256", "purged_at IS NULL"),
    ("submission", _BYTES_SENT, "content_sha256", "frequency = '1' AND purged_at IS NULL"),
)
# A row that says it was purged belongs to a treatment day whose purge is in the history.
_PURGED = {
    "source_record": "SELECT r.id, v.day_id FROM source_record r JOIN visit v ON v.clinic = r.clinic AND v.source = r.source"
    " AND v.visit_id = r.record_key WHERE r.purged_at IS NOT NULL",
    "visit_version": "SELECT w.id, v.day_id FROM visit_version w JOIN visit v ON v.id = w.visit WHERE w.purged_at IS NOT NULL",
    "day_version": "SELECT id, day_id FROM day_version WHERE purged_at IS NOT NULL",
    "submission": "SELECT id, day_id FROM submission WHERE purged_at IS NOT NULL",
    "treatment_day": "SELECT id, id FROM treatment_day WHERE purged_at IS NOT NULL",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One check: how many rows it read, and what it found (at most 20 sentences and a count of the rest)."""

    check: str
    rows: int
    problems: tuple[str, ...]


class Verifier:
    """Runs every check on one open connection, in one read transaction: a sync beside it changes nothing."""

    def __init__(self, connection: apsw.Connection, key_of: KeyOf) -> None:
        self._connection = connection
        self._key_of = key_of
        self._rows = self._at = 0

    def run(self, noted: tuple[int, str] | None = None) -> Iterator[Checked]:
        """Every check in turn. `noted` is an end of the history (number, hex digest) that was written down elsewhere."""
        checks: Mapping[str, Callable[[], Iterator[str]]] = {
            "file": self._file,
            "schema": self._schema,
            "history": lambda: self._history(noted),
            "bytes": self._bytes,
            "purged": self._purged,
            "keys": self._keys,
            "one live charge a day": self._live,
            "sums": self._sums,
        }
        with self._connection:
            for name, check in checks.items():
                yield self._checked(name, check)

    def _checked(self, name: str, check: Callable[[], Iterator[str]]) -> Checked:
        self._rows, self._at, more = 0, 1, 0
        found: list[str] = []
        try:
            for problem in check():
                if len(found) < _SHOWN:
                    found.append(problem)
                else:
                    more += 1
        except apsw.Error as error:
            found.append(f"stopped: {database.damaged(error)}")
        except (UnicodeError, ValueError, AssertionError) as error:
            found.append(f"stopped at row {self._at}: a value that no ledger has ({type(error).__name__})")
        if more:
            found.append(f"and {more:,} more")
        return Checked(check=name, rows=self._rows, problems=tuple(found))

    def _read(self, query: str) -> Iterator[tuple[apsw.SQLiteValue, ...]]:
        for row in self._connection.execute(query):
            self._rows += 1
            yield row
            self._at = self._rows + 1

    # ------------------------------------------------------------ file and schema

    def _file(self) -> Iterator[str]:
        for row in self._read("PRAGMA integrity_check"):
            if row[0] != "ok":
                yield str(row[0])
        for table, rowid, parent, _ in self._read("PRAGMA foreign_key_check"):
            yield f"{table} {rowid}: refers to a row of {parent} that is not there"

    def _schema(self) -> Iterator[str]:
        """The tables, indexes and triggers are those that the migrations make: a dropped trigger lets rows be edited."""
        fresh = database.fresh()
        have, want = int(str(self._connection.pragma("user_version"))), int(str(fresh.pragma("user_version")))
        if have != want:
            yield f"schema {have}; this ptbridge wants {want}"
        query = "SELECT type || ' ' || name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"
        ours = {str(name): sql for name, sql in self._read(query)}
        theirs = {str(name): sql for name, sql in fresh.execute(query)}
        for name in sorted({*ours, *theirs}):
            if ours.get(name) != theirs.get(name):
                yield f"{name}: {'missing' if name not in ours else 'not ours' if name not in theirs else 'changed'}"

    # ------------------------------------------------------------ history

    def _history(self, noted: tuple[int, str] | None) -> Iterator[str]:
        """Numbers without a gap, an unbroken chain, and the end that `history_head` (and the note) says."""
        query = "SELECT seq, at, run_id, clinic, entity, entity_id, event, detail, actor, digest FROM history ORDER BY seq"
        expected, before, noted_found = 1, START, noted is None or (noted[0] == 0)
        for *row, digest in self._read(query):
            seq = int(str(row[0]))
            if seq != expected:
                yield f"history: rows {expected} to {seq - 1} are missing"
            if digest != link(before, tuple(row)):
                yield f"history {seq}: was changed, or the row before it was"
            assert isinstance(digest, bytes)
            if noted and noted[0] == seq:
                noted_found = digest.hex().startswith(noted[1].lower())
            expected, before = seq + 1, digest
        head = self._connection.execute("SELECT seq, digest FROM history_head").fetchone()
        if head is None or (head[0], head[1]) != (expected - 1, before):
            says = head[0] if head else "nothing"
            yield f"history: ends at {expected - 1}, and its head says {says}: the end was cut off or added to"
        if not noted_found and noted:
            yield f"history {noted[0]}: is not the row whose digest was noted"

    # ------------------------------------------------------------ bytes and keys

    def _bytes(self) -> Iterator[str]:
        for table, body, digest, where in _DIGESTS:
            for id_, packed, sha256 in self._read(f"SELECT id, {body}, {digest} FROM {table} WHERE {where}"):  # noqa: S608
                if _digest_of(packed) != sha256:
                    yield f"{table} {id_}: its bytes are not those that were stored"

    def _purged(self) -> Iterator[str]:
        """What was purged is counted here; a row that was emptied by anybody else is found."""
        query = "SELECT DISTINCT entity_id FROM history WHERE entity = 'day' AND event = 'purged'"
        known = {row[0] for row in self._connection.execute(query)}
        for table, rows in _PURGED.items():
            for id_, day in self._read(rows):
                if day not in known:
                    yield f"{table} {id_}: it says that it was purged, and the history does not"

    def _keys(self) -> Iterator[str]:
        query = "SELECT id, destination, reference, revision, frequency, content_sha256, key FROM submission"
        for id_, platform, reference, revision, frequency, content, key in self._read(query):
            assert isinstance(content, bytes) and isinstance(revision, int)
            if self._key_of(str(platform), str(reference), revision, Frequency(str(frequency)), content) != key:
                yield f"submission {id_}: its key is not the one that its content makes"

    # ------------------------------------------------------------ what is live, and the sums

    def _live(self) -> Iterator[str]:
        """By the answers: never a second original while one lives; what the day says is live is what was accepted last."""
        last: dict[int, tuple[str, bytes]] = {}
        query = (
            "SELECT s.id, s.day_id, s.frequency, s.content_sha256, EXISTS (SELECT 1 FROM answer a WHERE a.submission_id = s.id"
            " AND a.standing = 'rejected') FROM submission s WHERE s.state = 'accepted' ORDER BY s.id"
        )
        lives: set[int] = set()
        for id_, day, frequency, content, refused in self._read(query):
            assert isinstance(day, int) and isinstance(content, bytes)
            if frequency == Frequency.ORIGINAL and day in lives:
                yield f"submission {id_}: a second original of treatment day {day} while the first one lives"
            if frequency == Frequency.VOID or refused:
                lives.discard(day)
            else:
                lives.add(day)
            last[day] = str(frequency), content
        for day, reference, live in self._read(
            "SELECT id, reference, live_sha256 FROM treatment_day WHERE live_sha256 IS NOT NULL"
        ):
            frequency, content = last.get(int(str(day)), ("", b""))
            if live != unknown_content(str(reference)) and (frequency == Frequency.VOID or content != live):
                yield f"treatment_day {day}: what it says is live is not what was accepted last"

    def _sums(self) -> Iterator[str]:
        """Every visit has one fate: the fates of each clinic add up to its visits, and its lines to theirs."""
        from ptbridge.ledger.accounts import Accounts

        counted = self._read(
            "SELECT clinic, count(*), coalesce(sum(iif(state = 'quarantined', 0, lines)), 0) FROM visit GROUP BY 1"
        )
        for clinic, visits, lines in counted:
            by_visit, by_line = Accounts(self._connection).fates(str(clinic), 0, everything=True)
            if by_visit.total() != visits or by_line.total() != lines:
                yield (
                    f"{clinic}: {visits} visits with {lines} lines, and their fates add up to {by_visit.total()} "
                    f"and {by_line.total()}"
                )


def _digest_of(packed: object) -> bytes:
    assert isinstance(packed, bytes)
    try:
        return hashlib.sha256(database.unpack(packed)).digest()
    except zlib.error:
        return b""
