"""Every check of a whole ledger, each with a ledger in which somebody changed exactly what it looks at."""

from __future__ import annotations

import apsw
import pytest

from ptbridge.ledger import verify
from ptbridge.model import Disposition, Frequency, Stage, Standing
from ptbridge.plan import key_of

CLINIC = "riverside"


def found(book, noted=None):
    """Check -> problems, for those that found any."""
    return {one.check: list(one.problems) for one in book.ledger.verify(key_of, noted) if one.problems}


@pytest.fixture
def full(book):
    """Two days at the biller, one of them corrected, one held, one record that cannot be read."""
    first = book.sent("e1")
    book.sent("e2", lines=2)
    book.send(first, b"2", Frequency.REPLACEMENT)
    book.answer()
    book.judge(book.visit("e3"), "held", "DC01")
    book.unreadable("e9")
    return book


def test_a_sound_ledger_passes_and_says_how_much_was_read(full):
    checks = {one.check: one for one in full.ledger.verify(key_of)}
    assert not any(one.problems for one in checks.values())
    assert checks["keys"].rows == 3 and checks["sums"].rows == 1 and checks["one live charge a day"].rows == 3 + 2
    assert checks["bytes"].rows == 4 + 3 + 2, "records, visits, originals"
    assert checks["history"].rows == full.ledger.history.head()[0]


def test_nothing_is_sound_too(book):
    assert found(book) == {}


def test_the_noted_end_is_found_again_or_missed(full):
    seq, digest = full.ledger.history.head()
    assert found(full, (seq, digest.hex().upper()[:16])) == {} and found(full, (0, "")) == {}
    assert found(full, (seq, "00" * 8)) == {"history": [f"history {seq}: is not the row whose digest was noted"]}
    assert found(full, (seq + 5, digest.hex())) == {"history": [f"history {seq + 5}: is not the row whose digest was noted"]}


def test_a_changed_row_of_the_history_breaks_the_chain_there_and_nowhere_else(full):
    full.tamper("UPDATE history SET actor = 'someone' WHERE seq = 3")
    assert found(full) == {"history": ["history 3: was changed, or the row before it was"]}


def test_a_missing_row_and_a_cut_off_end_are_told_apart(full):
    full.tamper("DELETE FROM history WHERE seq IN (3, 4)")
    first, second = found(full)["history"]
    assert first == "history: rows 3 to 4 are missing" and second.startswith("history 5: was changed")
    seq = full.ledger.history.head()[0]
    full.tamper(f"DELETE FROM history WHERE seq = {seq}")
    assert f"history: ends at {seq - 1}, and its head says {seq}" in found(full)["history"][-1]
    full.tamper("DELETE FROM history_head")
    assert "its head says nothing" in found(full)["history"][-1]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DROP TRIGGER history_stays", "trigger history_stays: missing"),
        ("CREATE TABLE mine (a)", "table mine: not ours"),
        ("DROP INDEX visit_by_day; CREATE INDEX visit_by_day ON visit (reason)", "index visit_by_day: changed"),
        ("PRAGMA user_version = 3", "schema 3; this ptbridge wants"),
    ],
)
def test_a_schema_that_is_not_ours_is_named(full, sql, words):
    full.connection.execute(sql)
    (problem,) = found(full)["schema"]
    assert problem.startswith(words)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("UPDATE source_record SET payload = (SELECT body FROM visit_version LIMIT 1) WHERE id = 1", "source_record 1"),
        ("UPDATE visit_version SET body = x'00' WHERE id = 2", "visit_version 2"),
        ("UPDATE visit_version SET body = x'ffffffff' WHERE id = 1", "visit_version 1"),
        (
            "UPDATE submission_body SET body = (SELECT body FROM submission_body WHERE submission_id = 3)"
            " WHERE submission_id = 1",
            "submission 1",
        ),
        ("DELETE FROM submission_body WHERE submission_id = 1", "submission 1"),
    ],
)
def test_bytes_that_are_not_those_that_were_stored(full, sql, words):
    full.tamper(sql)
    assert found(full) == {"bytes": [f"{words}: its bytes are not those that were stored"]}


def test_a_replacement_is_known_by_its_content_not_by_its_bytes(full):
    full.tamper(
        "UPDATE submission_body SET body = (SELECT body FROM submission_body WHERE submission_id = 1) WHERE submission_id = 3"
    )
    assert found(full) == {}


@pytest.mark.parametrize("change", ["revision = 9", "reference = 'x'", "frequency = '8'", "destination = 'x'"])
def test_a_key_that_its_content_does_not_make(full, change):
    full.tamper(f"UPDATE submission SET {change} WHERE id = 2")
    assert found(full)["keys"] == ["submission 2: its key is not the one that its content makes"]


def test_a_second_original_is_found_unless_the_first_was_turned_away_or_taken_back(full):
    day = full.ledger.days.named("e2")[0].id
    full.send(day, b"again")
    full.answer()
    assert found(full) == {
        "one live charge a day": [f"submission 4: a second original of treatment day {day} while the first one lives"]
    }


def test_after_a_rejection_or_a_void_an_original_is_the_first(book):
    rejected, voided = book.sent("e1"), book.sent("e2")
    book.hear("a1", Stage.CLEARINGHOUSE, Standing.REJECTED, reference=book.row(rejected).reference)
    book.send(voided, b"void", Frequency.VOID)
    book.answer()
    for day in (rejected, voided):
        book.send(day, b"again")
        book.answer()
    assert found(book) == {}


def test_what_a_day_says_is_live_is_what_was_accepted_last(full):
    full.tamper("UPDATE treatment_day SET live_sha256 = x'00' WHERE id = 1")
    assert found(full) == {"one live charge a day": ["treatment_day 1: what it says is live is not what was accepted last"]}
    full.tamper("UPDATE treatment_day SET live_sha256 = (SELECT content_sha256 FROM submission WHERE id = 3) WHERE id = 1")
    assert found(full) == {}
    full.send(1, b"void", Frequency.VOID)
    full.answer()
    full.tamper("UPDATE treatment_day SET live_sha256 = (SELECT content_sha256 FROM submission WHERE id = 4) WHERE id = 1")
    assert "one live charge a day" in found(full), "a void leaves nothing live"


def test_what_a_restore_adopted_is_live_in_content_that_nobody_knows(book):
    day = book.visit("e1")
    book.send(day)
    with book.ledger.transaction():
        book.ledger.restored.mark(book.now, "someone")
        mark = book.ledger.restored.pending(CLINIC)
        book.ledger.restored.compared(CLINIC, mark, {book.row(day).reference: (3, 13500)})
    (suspect,) = book.ledger.restored.suspects(CLINIC)
    book.ledger.restored.adopt(CLINIC, suspect)
    assert found(book) == {}


def test_fates_that_do_not_add_up_are_told(full, monkeypatch):
    wrong = "SELECT 'sent', 2, 3, 0 FROM visit WHERE {scope} AND ?1 = 0 AND ?2 <> '' LIMIT 1"
    monkeypatch.setattr("ptbridge.ledger.accounts._FATES", wrong)
    assert found(full) == {"sums": [f"{CLINIC}: 4 visits with 4 lines, and their fates add up to 2 and 3"]}
    monkeypatch.setattr("ptbridge.ledger.accounts._FATES", wrong.replace("2, 3", "4, 3"))
    assert "sums" in found(full), "lines count by themselves"


def test_a_reference_to_nothing_is_a_fault_of_the_file(full):
    full.tamper("UPDATE visit SET record_id = 99 WHERE id = 1")
    assert found(full)["file"] == ["visit 1: refers to a row of source_record that is not there"]


def test_a_check_that_cannot_go_on_says_where_and_the_others_run(full):
    full.tamper("UPDATE submission SET frequency = '5' WHERE id = 2")
    problems = found(full)
    assert problems["keys"][0].endswith("a value that no ledger has (ValueError)") and "sums" not in problems
    full.connection.execute("ALTER TABLE visit_version RENAME TO elsewhere")
    problems = found(full)
    assert problems["bytes"][0].startswith("stopped: ledger: SQLite SQL.") and "keys" in problems


@pytest.mark.parametrize(
    ("check", "change", "row", "error"),
    [
        ("keys", "UPDATE submission SET frequency = '5' WHERE id = {}", 1, "ValueError"),
        ("keys", "UPDATE submission SET frequency = '5' WHERE id = {}", 2, "ValueError"),
        ("keys", "UPDATE submission SET reference = CAST(x'ff' AS TEXT) WHERE id = {}", 1, "UnicodeDecodeError"),
        ("keys", "UPDATE submission SET reference = CAST(x'ff' AS TEXT) WHERE id = {}", 3, "UnicodeDecodeError"),
    ],
)
def test_the_row_that_a_check_stopped_at_is_counted_from_one(full, check, change, row, error):
    """Whether the value could not be read or made no sense after it was."""
    full.tamper(change.format(row))
    assert found(full)[check] == [f"stopped at row {row}: a value that no ledger has ({error})"]


def test_the_rows_of_a_check_of_several_tables_are_counted_through(full):
    full.tamper("UPDATE visit_version SET content_sha256 = CAST(x'ff' AS TEXT) WHERE id = 1")
    assert found(full)["bytes"] == ["stopped at row 5: a value that no ledger has (UnicodeDecodeError)"], "after four records"


def test_twenty_problems_are_named_and_the_rest_is_counted(book):
    for n in range(verify._SHOWN + 3):
        book.visit(f"e{n}")
    book.tamper("UPDATE visit_version SET body = x'00'")
    problems = found(book)["bytes"]
    assert len(problems) == verify._SHOWN + 1 and problems[-1] == "and 3 more"
    assert problems[verify._SHOWN - 1].startswith(f"visit_version {verify._SHOWN}:")


def test_a_page_that_sqlite_cannot_read_is_a_problem_of_its_check(full):
    class Damaged:
        def execute(self, query):
            raise apsw.CorruptError(query)

    checked = verify.Verifier(Damaged(), key_of)._checked("file", lambda: verify.Verifier(Damaged(), key_of)._file())
    assert checked.problems[0].startswith("stopped: ledger: SQLite Corrupt. The file is damaged.")


def test_held_and_doubted_submissions_have_keys_too(book):
    book.send(book.visit("e1"))
    book.answer(Disposition.IN_DOUBT, hold="in-doubt")
    book.tamper("UPDATE submission SET key = 'x'")
    assert list(found(book)) == ["keys"]


def test_a_rule_of_the_schema_that_a_row_breaks_is_a_fault_of_the_file(full):
    full.unsound()
    assert found(full)["file"] == ["CHECK constraint failed in history_head"]


@pytest.mark.parametrize("table", ["source_record", "visit_version", "day_version", "submission", "treatment_day"])
def test_a_row_that_somebody_else_emptied_is_not_purged(full, table):
    full.tamper(f"UPDATE {table} SET purged_at = '2026-11-22T00:00:00' WHERE id = 1")
    assert found(full)["purged"] == [f"{table} 1: it says that it was purged, and the history does not"]
