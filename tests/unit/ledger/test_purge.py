"""What a purge takes out of a ledger and what it leaves, on days of which every row can be told."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from ptbridge.ledger.database import unpack
from ptbridge.ledger.purge import SAID_PURGED, Purged, Settled
from ptbridge.model import NativeCode, Stage, Standing
from ptbridge.plan import key_of

CLINIC = "riverside"
LATER = datetime(2029, 1, 2, tzinfo=UTC)
FINDING = {"code": "MU01", "severity": "warning", "message": "Testerly had 9 units", "fix": "ask Testerly"}
LINE = {
    "line": "97110-GP x2",
    "procedure": "97110",
    "modifiers": ["GP"],
    "units": 2,
    "minutes": 30,
    "unit_price_cents": 4500,
    "amount_cents": 9000,
    "line_keys": ["e1/l0"],
    "because": ["30 minutes of Testerly"],
}
PAGE = {
    "reference": "pt-1",
    "clinic": CLINIC,
    "service_date": "2026-11-03",
    "discipline": "PT",
    "payer": "acme",
    "payer_as_given": "Acme",
    "state": "queued",
    "action": "original",
    "units": 2,
    "amount_cents": 9000,
    "visits": ["e1"],
    "documented": ["24 minutes"],
    "lines": [LINE],
    "diagnoses": ["M54.50"],
    "exclusions": [{"line_key": "e1/l1", "procedure": "97010", "rule": "NB01", "because": "of Testerly"}],
    "acceptable": [1],
    "because": ["Testerly"],
    "findings": [FINDING],
    "emr_differs": ["x"],
    "change": {"was": "x"},
    "decision": {"kind": "release", "reason": "Testerly called", "actor": "someone"},
}


def going(book, clinic=CLINIC, before=date(2026, 12, 1), instant="2028-01-01", seconds=2.1e9):
    return book.ledger.purge.settled(clinic, before, instant, seconds)


def empty(book):
    book.now = LATER
    return book.ledger.purge.empty(CLINIC, going(book), "auditor")


def stored(book, table, row=1):
    body, purged_at = book.connection.execute(f"SELECT body, purged_at FROM {table} WHERE id = ?", (row,)).fetchone()
    return json.loads(unpack(body)), purged_at


@pytest.fixture
def old(book):
    """Two days that nobody waits for, one with news, a decision and a record that was read twice; and one that is held."""
    first = book.sent("e1", on=3, lines=2, page=PAGE, payer="acme")
    book.visit("e1", on=3, lines=1, payload=b'{"Testerly": 2}')
    codes = (NativeCode(system="CARC", code="45", text="Testerly"), NativeCode(system="RARC", code="N1", text="Testerly"))
    book.hear("a1", Stage.REMITTANCE, Standing.PAID, reference=book.row(first).reference, codes=codes, text="Testerly")
    with book.ledger.transaction():
        book.ledger.days.decide(book.row(first), "release", "MU01", "Testerly called", "someone")
    book.sent("e2", on=4, units=3)
    book.judge(book.visit("e3", on=5), "held", "DC01")
    book.connection.execute("UPDATE treatment_day SET dirty = 0")
    return book


def test_what_is_settled_is_told_with_its_payer_and_its_figures(old):
    assert going(old) == [Settled(1, date(2026, 11, 3), "acme", 2, 9000), Settled(2, date(2026, 11, 4), "", 3, 13500)]
    assert going(old, before=date(2026, 11, 4)) == [Settled(1, date(2026, 11, 3), "acme", 2, 9000)]
    assert going(old, clinic="other") == going(old, instant="2026-11-01") == going(old, seconds=1.9e9) == []


def test_a_purge_counts_what_it_takes_and_what_stays(old):
    assert not old.ledger.purge.is_purged(1) and not old.ledger.purge.is_purged(999)
    assert empty(old) == Purged(
        days=2, units=5, amount_cents=22500, records=3, visit_versions=3, judgements=2, submissions=2, answers=1
    )
    assert [old.ledger.purge.is_purged(day) for day in (1, 2, 3)] == [True, True, False]
    assert going(old) == [] and [row["event"] for row in old.ledger.history.of("day", 2)][-1] == "purged"
    assert old.ledger.history.of("day", 1)[-1]["actor"] == "auditor"
    checks = {one.check: one for one in old.ledger.verify(key_of)}
    assert not any(one.problems for one in checks.values()) and checks["purged"].rows == 3 + 3 + 2 + 2 + 2


def test_no_word_of_a_patient_is_left_and_each_column_that_may_hold_one_is_emptied(old):
    empty(old)
    connection = old.connection
    assert {unpack(row[0]) for row in connection.execute("SELECT payload FROM source_record WHERE purged_at IS NOT NULL")} == {
        b""
    }
    assert [unpack(row[0]) for row in connection.execute("SELECT body FROM submission_body")] == [b"", b""]
    assert [row[0] for row in connection.execute("SELECT native_text FROM acknowledgement")] == ["", ""]
    assert [row[0] for row in connection.execute("SELECT reason FROM decision")] == [""]
    (text,) = connection.execute("SELECT text FROM answer").fetchone()
    assert json.loads(unpack(text)) == ["", "", ""], "one for the answer, one for each code"
    (told,) = old.ledger.standings.of_day(1)
    assert [code["text"] for code in told["codes"]] == ["", ""] and told["text"] == ""


def test_a_judgement_keeps_its_figures_and_codes_and_loses_every_text(old):
    empty(old)
    at = LATER.isoformat(timespec="milliseconds")
    page, purged_at = stored(old, "day_version")
    kept = ("reference", "clinic", "service_date", "discipline", "payer", "payer_as_given", "state", "action", "units")
    assert purged_at == page["purged_at"] == old.ledger.history.now()
    assert at[:10] in page["because"][0] and page == {
        **{name: PAGE[name] for name in (*kept, "amount_cents", "visits")},
        "purged_at": purged_at,
        "change": None,
        "documented": [],
        "lines": [LINE | {"because": []}],
        "diagnoses": [],
        "exclusions": [{"line_key": "e1/l1", "procedure": "97010", "rule": "NB01", "because": ""}],
        "acceptable": [],
        "because": page["because"],
        "findings": [{"code": "MU01", "severity": "warning", "message": "(purged)", "fix": ""}],
        "emr_differs": [],
        "decision": {"kind": "release", "reason": "", "actor": "someone"},
    }


def test_a_visit_keeps_whose_it_was_and_which_lines_it_documented(old):
    empty(old)
    visit, purged_at = stored(old, "visit_version")
    assert visit == {
        "purged_at": purged_at,
        "visit_id": "e1",
        "patient": {"id": "pat-1"},
        "interventions": [{"line_key": "l0", "not_done": False}, {"line_key": "l1", "not_done": False}],
    }
    assert [row["line_key"] for row in old.ledger.export(phi=False).rows(CLINIC)] == ["l0", "l0", "l0"]


def test_what_was_purged_stays_as_it_was_then_when_more_of_it_comes(old):
    empty(old)
    (first,) = old.connection.execute("SELECT purged_at FROM treatment_day WHERE id = 1").fetchone()
    old.visit("e1", on=3, lines=3, payload=b'{"Testerly": 3}')
    old.connection.execute("UPDATE treatment_day SET dirty = 0")
    old.now = datetime(2030, 1, 2, tzinfo=UTC)
    found = old.ledger.purge.empty(CLINIC, going(old, instant="2029-12-01"), "auditor")
    assert (found.days, found.records, found.visit_versions, found.judgements) == (1, 1, 1, 0)
    assert old.connection.execute("SELECT purged_at FROM treatment_day WHERE id = 1").get == first


def test_what_the_biller_had_of_it_after_a_restore_goes_too(old):
    old.connection.execute(
        "INSERT INTO biller_had (clinic, reference, units, amount_cents, settled)"
        " VALUES (?1, ?2, 2, 9000, 1), (?1, 'x', 1, 1, 1)",
        (CLINIC, old.row(1).reference),
    )
    empty(old)
    assert old.connection.execute("SELECT group_concat(reference) FROM biller_had").get == "x"


def test_the_triggers_are_the_same_afterwards_and_those_of_other_tables_are_never_taken_off(old, monkeypatch):
    query = "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name"
    before = old.connection.execute(query).fetchall()
    seen = []
    monkeypatch.setattr(
        old.ledger.purge, "_records", lambda at: seen.extend(row[1] for row in old.connection.execute(query)) or 0
    )
    empty(old)
    assert old.connection.execute(query).fetchall() == before
    emptied = {"source_record", "visit_version", "day_version", "submission_body", "acknowledgement", "decision", "answer"}
    assert set(seen) == {table for _, table, _ in before} - emptied != set()
    assert emptied <= {table for _, table, _ in before}


def test_freed_bytes_are_zeroed_and_the_log_is_cut_back(old):
    empty(old)
    assert old.connection.pragma("secure_delete") == 1
    log = old.folder / "ledger.sqlite-wal"
    assert log.stat().st_size
    old.ledger.purge.wipe()
    assert not log.stat().st_size and b"Testerly" not in (old.folder / "ledger.sqlite").read_bytes()
    assert old.connection.execute("SELECT count(*) FROM sqlite_temp_schema").get == 0


def test_runs_lose_the_texts_of_their_errors_once_and_their_number_stays(old):
    old.ledger.end_run(old.run, '{"errors": ["Testerly", "away"], "visits": 2}')
    assert old.ledger.purge.empty_runs(CLINIC, "2026-11-20") == old.ledger.purge.empty_runs("other", "2026-11-30") == 0
    assert [old.ledger.purge.empty_runs(CLINIC, "2026-11-30") for _ in range(2)] == [1, 0]
    summary = json.loads(str(old.connection.execute("SELECT summary FROM run").get))
    assert summary == {"errors": [SAID_PURGED] * 2, "visits": 2} and SAID_PURGED == "purged"


def test_what_was_purged_of_these_dates_and_still_counts_is_told(old):
    nothing = {"days": 0, "units": 0, "amount_cents": 0, "last_at": None}
    assert old.ledger.purge.standing(CLINIC, ("2026-11-01", "2026-11-30")) == nothing
    empty(old)
    at = old.ledger.history.now()
    told = {
        dates: old.ledger.purge.standing(CLINIC, dates)
        for dates in (("2026-11-03", "2026-11-04"), ("2026-11-04", "2026-11-30"), ("2026-11-05", "2026-11-30"))
    }
    assert list(told.values()) == [
        {"days": 2, "units": 5, "amount_cents": 22500, "last_at": at},
        {"days": 1, "units": 3, "amount_cents": 13500, "last_at": at},
        nothing,
    ]
    assert old.ledger.purge.standing("other", ("2026-11-01", "2026-11-30")) == nothing


def test_parts_of_a_purge_add_up():
    total = Purged()
    for n in (1, 10):
        total.add(Purged(*(n * place for place in range(1, 11))))
    assert total == Purged(*(11 * place for place in range(1, 11))) and Purged() == Purged(*[0] * 10)
