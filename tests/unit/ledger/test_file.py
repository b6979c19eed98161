"""The ledger's file: what it refuses to open, copies of it, its key, and the look through it before a writer starts."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import apsw
import pytest

from ptbridge.errors import LedgerBusy, LedgerError
from ptbridge.ledger import Ledger, copies, database, start_check
from ptbridge.ledger.chain import Chain
from ptbridge.ledger.copies import copy_database, recode_database
from ptbridge.ledger.database import open_file, pack, patient_key, patient_key_of, transaction, unpack
from ptbridge.specs import at_rest

KEY, OTHER = bytes(range(32)), bytes(32)
A_DAY = 86_400  # seconds
CLINIC = "riverside"


def test_a_body_comes_back_as_it_was():
    for body in (b"", b"x", bytes(range(256)) * 400):
        assert unpack(pack(body)) == body


def test_a_patients_name_in_tables_is_a_digest_and_a_lone_visit_has_none():
    assert patient_key_of(CLINIC, "2026-11-20|PT|1234567893|pat-1") == patient_key(CLINIC, "pat-1")
    assert patient_key_of(CLINIC, "2026-11-20|PT|1234567893|a|b") == patient_key(CLINIC, "a|b")
    assert patient_key_of(CLINIC, "visit e1") is None and len(patient_key(CLINIC, "pat-1")) == 64
    assert patient_key("other", "pat-1") != patient_key(CLINIC, "pat-1")


def test_a_folder_that_cannot_be_made_says_whose_it_must_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="must belong to the user"):
        Ledger.open(tmp_path / "file" / "state")


def test_a_missing_ledger_is_no_readers(tmp_path):
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(LedgerError, match="ptbridge sync"):
            Ledger.open(folder, write=False)
    assert not (tmp_path / "nowhere").exists() and not (tmp_path / "ledger.sqlite").exists()


def test_an_unfinished_restore_is_not_opened(tmp_path):
    Ledger.open(tmp_path).close()
    (tmp_path / at_rest.UNFINISHED_RESTORE).touch()
    with pytest.raises(LedgerError, match="--finish"):
        Ledger.open(tmp_path)
    (tmp_path / at_rest.UNFINISHED_RESTORE).unlink()
    Ledger.open(tmp_path).close()


def test_a_sqlite_that_can_lose_data_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "SAFE_SQLITE", (99, 0, 0))
    with pytest.raises(LedgerError, match="WAL reset"):
        Ledger.open(tmp_path)
    monkeypatch.setattr(database, "SAFE_SQLITE", tuple(int(part) for part in apsw.sqlite_lib_version().split(".")))
    Ledger.open(tmp_path).close()


def test_a_reader_does_not_bring_an_older_ledger_up(tmp_path):
    with Ledger.open(tmp_path) as ledger:
        ledger._connection.pragma("user_version", 1)
    with pytest.raises(LedgerError, match="schema 1, this ptbridge wants"):
        Ledger.open(tmp_path, write=False)


def test_a_ledger_that_could_not_be_opened_gives_its_lock_up(tmp_path):
    (tmp_path / "ledger.sqlite").write_bytes(b"SQLite format 3\x00" + b"\xff" * 4080)
    for _ in range(2):
        with pytest.raises(LedgerError, match="Restore the last backup") as caught:
            Ledger.open(tmp_path)
        assert not isinstance(caught.value, LedgerBusy)


def test_a_broken_file_closes_its_connection(tmp_path):
    with pytest.raises(LedgerError, match=r"SQLite CantOpen\. Nothing further was sent"):
        open_file(tmp_path / "nowhere" / "x.sqlite", None, write=True)


def broken(folder: Path) -> Path:
    """A ledger of which a page in the middle is not what SQLite wrote."""
    with Ledger.open(folder) as ledger:
        ledger.begin_run(CLINIC)
        with ledger.transaction():
            for n in range(400):
                ledger.history.add(CLINIC, "day", n, "held", "x" * 60)
    path = folder / "ledger.sqlite"
    body = bytearray(path.read_bytes())
    for page in range(8, len(body) // 4096):
        body[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    path.write_bytes(bytes(body))
    return path


def test_a_damaged_page_is_found_before_a_writer_starts_and_in_a_copy(tmp_path):
    path = broken(tmp_path / "state")
    with pytest.raises(LedgerError, match="damaged"):
        Ledger.open(tmp_path / "state")
    with pytest.raises(LedgerError, match=r"not sound|damaged"):
        copy_database(path, tmp_path / "copy.sqlite", None)


def test_a_copy_holds_what_was_written_and_is_its_owners(tmp_path):
    with Ledger.open(tmp_path / "state") as ledger:
        ledger.begin_run(CLINIC)
        copy_database(ledger.folder / "ledger.sqlite", tmp_path / "copy.sqlite", None)
    assert (tmp_path / "copy.sqlite").stat().st_mode & 0o777 == 0o600
    copy = open_file(tmp_path / "copy.sqlite", None, write=False)
    assert copy.execute("SELECT clinic FROM run").fetchall() == [(CLINIC,)]
    copy.close()
    with pytest.raises(FileExistsError):
        copy_database(tmp_path / "state" / "ledger.sqlite", tmp_path / "copy.sqlite", None)
    (tmp_path / "no.sqlite").write_bytes(b"not a database " * 400)
    with pytest.raises(LedgerError, match="not a ptbridge ledger"):
        copy_database(tmp_path / "no.sqlite", tmp_path / "copy2.sqlite", None)


def test_a_copy_changes_its_key_and_nothing_else(tmp_path):
    with Ledger.open(tmp_path / "state") as ledger:
        ledger.begin_run(CLINIC)
    path = tmp_path / "copy.sqlite"
    copy_database(tmp_path / "state" / "ledger.sqlite", path, None)
    for old, new in ((None, KEY), (KEY, OTHER)):
        recode_database(path, old, new)
        assert not path.read_bytes().startswith(at_rest.PLAIN_HEADER) and b"CREATE TABLE" not in path.read_bytes()
        with pytest.raises(LedgerError, match="of this key"):
            open_file(path, old or OTHER, write=False)
        opened = open_file(path, new, write=False)
        assert opened.execute("SELECT clinic FROM run").fetchall() == [(CLINIC,)]
        opened.close()
    with pytest.raises(LedgerError, match="of this key"):
        recode_database(path, KEY, OTHER)
    copy_database(path, tmp_path / "second.sqlite", OTHER)
    open_file(tmp_path / "second.sqlite", OTHER, write=False).close()


def test_a_key_is_changed_outside_of_wal_mode_and_the_result_is_read_once(book, tmp_path):
    """The cipher cannot change the key of a file in WAL mode: it only does where SQLite has not noticed the mode yet."""
    path = tmp_path / "copy.sqlite"
    copy_database(book.folder / "ledger.sqlite", path, None)
    recode_database(path, None, KEY)
    with copies._opened(path, KEY) as opened:
        assert opened.connection.pragma("journal_mode") == "delete"
    with copies._opened(path, KEY) as unsound:
        unsound.connection.execute("PRAGMA ignore_check_constraints = ON; UPDATE history_head SET id = 2").fetchall()
    with pytest.raises(LedgerError, match="the copy is not sound"):
        recode_database(path, KEY, OTHER)


def test_what_is_sorted_for_a_copy_stays_in_memory_and_its_connection_ends_with_it(book):
    with copies._opened(book.folder / "ledger.sqlite", None) as opened:
        assert opened.connection.pragma("temp_store") == 2
    with pytest.raises(apsw.ConnectionClosedError):
        opened.connection.pragma("user_version")


def test_a_copy_waits_for_somebody_who_has_the_file_to_himself(tmp_path):
    """As a database outside of WAL mode is while it is written."""
    source, held = tmp_path / "plain.sqlite", threading.Event()

    def hold() -> None:
        alone = apsw.Connection(str(source))
        alone.execute("CREATE TABLE t (a); BEGIN EXCLUSIVE").fetchall()
        held.set()
        time.sleep(0.3)
        alone.execute("COMMIT").fetchall()
        alone.close()

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(20)
    copy_database(source, tmp_path / "copy.sqlite", None)
    other.join()
    assert b"CREATE TABLE t" in (tmp_path / "copy.sqlite").read_bytes()


def test_a_file_found_as_it_was_left_is_not_looked_through_again(tmp_path, monkeypatch):
    def looked(folder: Path) -> float:
        with Ledger.open(folder) as ledger:
            return ledger._checked_at

    monkeypatch.setattr(start_check.time, "time", lambda: 2e9 + 0.9)
    assert looked(tmp_path) == 2e9 + 0.9
    assert (tmp_path / "lock").read_text() == f"{start_check.state_of(tmp_path / 'ledger.sqlite')} 2000000000"
    first = 2e9
    assert looked(tmp_path) == first, "found as it was left"
    monkeypatch.setattr(start_check.time, "time", lambda: first + A_DAY - 1)
    assert looked(tmp_path) == first
    monkeypatch.setattr(start_check.time, "time", lambda: first + A_DAY)
    assert looked(tmp_path) == first + A_DAY, "once a day in any case"
    latest = first + A_DAY
    for early in (0.5, 5):
        monkeypatch.setattr(start_check.time, "time", lambda early=early: latest - early)
        assert looked(tmp_path) == latest - early, "a note from the future is none"
    shutil.copy(tmp_path / "ledger.sqlite", tmp_path / "other")
    (tmp_path / "other").rename(tmp_path / "ledger.sqlite")
    monkeypatch.setattr(start_check.time, "time", lambda: first + 7)
    assert looked(tmp_path) == first + 7, "somebody put another file there"


def test_while_it_is_open_and_after_trouble_there_is_no_note(tmp_path):
    with Ledger.open(tmp_path) as ledger:
        assert (tmp_path / "lock").read_text() == "" and start_check.state_of(tmp_path / "ledger.sqlite") == ""
        ledger.begin_run(CLINIC)
    assert (tmp_path / "lock").read_text()
    with pytest.raises(LedgerError, match="gave up"), Ledger.open(tmp_path):
        raise LedgerError("the disk gave up")
    assert (tmp_path / "lock").read_text() == "", "the next one looks through the file"
    assert start_check.state_of(tmp_path / "nowhere") == ""


class _Gone:
    """A connection whose look through the file does not come to an end."""

    def execute(self, sql: str) -> None:
        raise apsw.IOError(sql)


def test_a_disk_that_gives_up_during_the_look_says_so(tmp_path):
    lock = database.WriterLock(tmp_path)
    with pytest.raises(LedgerError, match="SQLite IO"):
        start_check.check(_Gone(), tmp_path / "ledger.sqlite", lock, "")  # type: ignore[arg-type]
    lock.release()


def test_a_transaction_on_a_plain_connection_is_all_or_nothing(tmp_path):
    with apsw.Connection(":memory:") as plain:
        with transaction(plain):
            plain.execute("CREATE TABLE t (a)")
        with pytest.raises(ZeroDivisionError), transaction(plain):
            plain.execute("INSERT INTO t VALUES (1)")
            _ = 1 / 0
        with pytest.raises(LedgerError, match="ledger: SQLite SQL"), transaction(plain):
            plain.execute("SELECT nothing FROM nowhere")
        assert plain.execute("SELECT count(*) FROM t").get == 0


def test_what_was_kept_back_outlives_an_inner_rollback(book):
    with book.ledger.transaction():
        book.ledger.history.add(CLINIC, "day", 1, "outer")
        with pytest.raises(ZeroDivisionError), book.ledger.transaction():
            book.ledger.history.add(CLINIC, "day", 2, "inner")
            _ = 1 / 0
    assert [row["event"] for row in book.ledger.history.of("day", 1)] == ["outer"]
    assert book.ledger.history.of("day", 2) == [] and book.ledger.history.head()[0] == 1


def test_a_ledger_on_a_connection_of_others_holds_no_lock(tmp_path):
    Ledger.open(tmp_path / "state").close()
    connection = open_file(tmp_path / "state" / "ledger.sqlite", None, write=True)
    with Ledger.of(connection, tmp_path / "state") as ledger:
        ledger.begin_run(CLINIC)
        with Ledger.open(tmp_path / "state"):
            pass


def test_a_file_without_a_row_of_its_history_is_not_whole(book):
    book.visit("e1")
    assert book.ledger.integrity() == []
    book.tamper("UPDATE visit SET record_id = 99")
    assert book.ledger.integrity() == ["dangling reference in visit"]


def test_a_file_that_can_be_read_and_is_not_sound_is_neither_copied_nor_written_to(book, tmp_path):
    book.unsound()
    with pytest.raises(LedgerError, match="the copy is not sound"):
        copy_database(book.folder / "ledger.sqlite", tmp_path / "copy.sqlite", None)
    book.ledger._checked_at = 0.0
    book.ledger.close()
    with pytest.raises(LedgerError, match=r"damaged\. Nothing was done"):
        Ledger.open(book.folder)
    book.ledger = Ledger.open(book.folder, write=False)


def test_the_chain_of_an_older_history_is_that_of_a_new_one(book):
    book.visit("e1")
    with book.ledger.transaction():
        pass
    chain, rows = Chain(), list(book.connection.execute("SELECT * FROM history ORDER BY seq"))
    digests = [chain.next_digest(*row[:-1]) for row in rows]
    assert digests == [row[-1] for row in rows] and chain.digest == book.ledger.history.head()[1]
