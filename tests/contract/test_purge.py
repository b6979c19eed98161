"""Contract S12, minimum necessary: what is settled and old loses its texts, and the accounting stays as it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest

from ptbridge import cli, jobs
from ptbridge.errors import ConfigError
from ptbridge.inbox import Arrival, Inbox, Rules, envelope_of
from ptbridge.inbox import purge as inbox_purge
from ptbridge.jobs import safekeeping
from ptbridge.jobs.purge import purge
from ptbridge.ledger import Ledger, database
from tests.hl7_clinic import Hl7World, a_visit, adt, lakeside
from tests.world import DAY, World, running

CLINIC = "riverside-pt"
LATER = datetime.combine(DAY, datetime.min.time(), UTC) + timedelta(days=800)  # beyond every filing limit and the age asked for
CONTENT = {
    "source_record": "payload",
    "visit_version": "body",
    "day_version": "body",
    "submission_body": "body",
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running(tmp_path / "config") as one:
        one.sync()
        yield one


def raw(world: World) -> apsw.Connection:
    return apsw.Connection(str(world.folder / "state" / "ledger.sqlite"))


def purged(world: World, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = purge(world.config, older_than_days=400, now=LATER, actor="auditor", **options)[CLINIC]
    return answer


def contents(world: World) -> list[tuple[str, int, bytes]]:
    """Every stored body of the ledger, unpacked."""
    connection = raw(world)
    return [
        (table, int(str(id_)), database.unpack(body))
        for table, column in CONTENT.items()
        for id_, body in connection.execute(f"SELECT rowid, {column} FROM {table}")
    ]


def exported(world: World, **options: Any) -> list[dict[str, Any]]:
    return list(safekeeping.export(world.config, **options))


def names_of(rows: list[dict[str, Any]]) -> set[str]:
    return {row[key] for row in rows for key in ("family", "mrn") if row.get(key)}


def test_S12_a_purge_takes_the_texts_of_settled_days_and_leaves_the_accounting(world: World) -> None:
    before, phi = exported(world), exported(world, phi=True)
    (standing,) = jobs.status(world.config).values()
    sent_names = names_of([row for row in phi if row["state"] == "sent"])
    other_names = names_of([row for row in phi if row["state"] != "sent"])
    assert len(sent_names) > 20
    found = purged(world, really=True)
    assert (
        found["days"] == sum(standing["days"].get(state, {"days": 0})["days"] for state in ("sent", "excluded", "voided")) > 20
    )
    assert found["units"] == world.books()["units"] and found["amount_cents"] == world.books()["amount_cents"]
    after = exported(world)
    for old, new in zip(before, after, strict=True):
        assert {**old, "purged_at": None} == {**new, "purged_at": None}
    assert {row["state"] for row in after if row["purged_at"]} >= {"sent"}
    assert not any(row["purged_at"] for row in after if row["state"] == "held")
    stored = b"\n".join(body for _, _, body in contents(world)).decode("utf-8", "replace")
    assert not [name for name in sent_names - other_names if name in stored]
    (now_standing,) = jobs.status(world.config).values()
    assert now_standing["days"] == standing["days"]
    world.agrees()


def test_S12_verify_passes_after_a_purge_and_counts_what_is_gone(world: World) -> None:
    found = purged(world, really=True)
    answer = safekeeping.verify(world.config)
    assert answer["sound"], [checked for checked in answer["checks"] if checked.problems]
    (gone,) = [checked.rows for checked in answer["checks"] if checked.check == "purged"]
    assert gone >= found["days"] + found["records"] + found["submissions"]
    with Ledger.open(world.folder / "state", write=False) as ledger:
        noted = ledger.history.of("ledger", 0)[-1]
    assert noted["event"] == "purged" and noted["actor"] == "auditor" and f"days={found['days']}" in noted["detail"]


def test_S12_the_triggers_stand_again_word_for_word_and_refuse_every_change(world: World) -> None:
    query = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name"
    before = raw(world).execute(query).fetchall()
    assert purged(world, really=True)["days"]
    connection = raw(world)
    assert connection.execute(query).fetchall() == before
    for table, column in CONTENT.items():
        with pytest.raises(apsw.ConstraintError):
            connection.execute(f"UPDATE {table} SET {column} = X'' WHERE rowid = 1")
    with pytest.raises(apsw.ConstraintError):
        connection.execute("UPDATE acknowledgement SET native_text = ''")


def test_S12_a_purge_that_is_cut_off_leaves_everything_as_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(world)
    schema = raw(world).execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()

    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ptbridge.ledger.purge._judgement_that_stays", fails)
    with pytest.raises(KeyboardInterrupt):
        purged(world, really=True)
    assert contents(world) == before
    assert raw(world).execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall() == schema
    assert safekeeping.verify(world.config)["sound"]


def test_S12_without_yes_a_purge_changes_nothing_and_says_the_same_numbers(world: World) -> None:
    before = contents(world)
    shown = purged(world)
    assert contents(world) == before and not shown.pop("purged")
    done = purged(world, really=True)
    assert done.pop("purged") and shown == done
    again = purged(world, really=True)
    assert again["days"] == 0 and again["records"] == 0


def test_S12_what_is_held_unread_or_on_its_way_stays_whole(tmp_path: Path) -> None:
    with running(tmp_path / "config") as world:
        config = world.clinic_file.read_text("utf-8")
        world.clinic_file.write_text(config.replace(world.biller.base_url, "http://127.0.0.1:9"), "utf-8")
        world.sync()
        (standing,) = jobs.status(world.config).values()
        assert standing["waiting"] and standing["days"]["held"]["days"]
        before = [body for table, _, body in contents(world) if table == "submission_body"]
        found = purged(world, really=True)
        assert found["submissions"] == 0 and found["units"] == 0
        assert found["days"] == standing["days"].get("excluded", {"days": 0})["days"]
        assert [body for table, _, body in contents(world) if table == "submission_body"] == before
        world.clinic_file.write_text(config, "utf-8")
        jobs.retry(world.config)
        world.agrees()


def test_S12_a_day_that_its_payer_still_takes_stays(world: World) -> None:
    young = datetime.combine(DAY, datetime.min.time(), UTC) + timedelta(days=200)
    answer = purge(world.config, older_than_days=100, now=young, really=True)[CLINIC]
    assert answer["may_still_be_filed"] > 0
    kept = [row for row in exported(world) if row["state"] == "sent" and not row["purged_at"]]
    assert kept
    with pytest.raises(ConfigError, match="less than 30 days"):
        purge(world.config, older_than_days=29)


def test_S12_no_byte_of_what_was_purged_is_left_in_the_file_or_its_log(world: World) -> None:
    connection = raw(world)
    settled = "SELECT id FROM treatment_day WHERE state = 'sent'"
    packed = [
        bytes(body)
        for query in (
            f"SELECT body FROM submission JOIN submission_body ON submission_id = id WHERE day_id IN ({settled})",
            f"SELECT body FROM day_version WHERE day_id IN ({settled})",
        )
        for (body,) in connection.execute(query)
    ]
    connection.close()

    def found() -> int:
        state = world.folder / "state"
        everything = b"".join(path.read_bytes() for path in sorted(state.glob("ledger.sqlite*")))
        return sum(body[20:200] in everything for body in packed)

    assert len(packed) > 50 and found() > 50
    reader = raw(world)  # somebody else has the file open, so that its log is not folded in by the last one who closes
    assert reader.execute("SELECT count(*) FROM treatment_day").get
    purged(world, really=True)
    assert found() == 0
    reader.close()


def test_S12_an_edit_after_the_purge_is_held_and_bills_nothing_twice(world: World) -> None:
    purged(world, really=True)
    books = world.books()
    visit = "enc-0002"
    world.store.edit_visit(visit, {"97112": 40}, bump_encounter=False)
    report = world.sync()
    assert report.submissions_sent == 0 and {key: world.books()[key] for key in ("charges", "units")} == {
        key: books[key] for key in ("charges", "units")
    }
    (held,) = [one for one in jobs.held(world.config) if visit in one["visits"]]
    assert any("purged on" in reason["message"] for reason in held["reasons"])
    with pytest.raises(ConfigError, match="Have the biller take it back"):
        jobs.exclude(world.config, held["id"], "asked for")
    assert safekeeping.verify(world.config)["sound"]


def test_S12_a_row_that_somebody_else_emptied_is_found(world: World) -> None:
    connection = raw(world)
    connection.execute("DROP TRIGGER source_record_is_kept")
    connection.execute(
        "UPDATE source_record SET payload = ?, purged_at = '2026-11-20' WHERE id = (SELECT max(id) FROM source_record)",
        (database.pack(b""),),
    )
    connection.execute(
        "CREATE TRIGGER source_record_is_kept BEFORE UPDATE ON source_record"
        " BEGIN SELECT RAISE(ABORT, 'source_record is append-only'); END"
    )
    connection.close()
    found = {one.check: one.problems for one in safekeeping.verify(world.config)["checks"] if one.problems}
    assert "purged" in found and "the history does not" in found["purged"][0]


def test_S12_the_command_shows_first_and_explain_and_export_say_what_is_gone(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptbridge.jobs.purge.datetime", _Later)
    folder = ["--config", str(world.folder)]
    assert cli.main(["purge", "--older-than", "400", *folder]) == 0
    assert "would be purged" in (shown := capsys.readouterr().out) and "Nothing was changed" in shown
    assert cli.main(["purge", "--older-than", "400", "--yes", *folder]) == 0
    assert "treatment days purged" in capsys.readouterr().out
    row = next(row for row in exported(world) if row["state"] == "sent")
    assert cli.main(["explain", row["visit_id"], *folder]) == 0
    said = capsys.readouterr().out
    assert "were purged on" in said and row["reference"] in said and "$" in said
    assert cli.main(["verify", *folder]) == 0
    assert "purged (" in capsys.readouterr().out
    assert cli.main(["reconcile", *folder]) == 0
    assert "treatment days of these" in " ".join(capsys.readouterr().out.split())
    assert cli.main(["purge", "--older-than", "20", *folder]) != 0


def test_S12_reconcile_says_what_was_purged_and_its_sums_stay_the_same(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that nobody takes a purged day for a lost one: it is in every count, and is named as purged."""
    before = jobs.reconcile(world.config)[CLINIC]
    assert before["purged"] == {"days": 0, "units": 0, "amount_cents": 0, "last_at": None}
    cli.main(["reconcile", "--config", str(world.folder)])
    assert "purged" not in capsys.readouterr().out
    found = purged(world, really=True)
    after = jobs.reconcile(world.config)[CLINIC]
    assert after["purged"].pop("last_at").startswith(LATER.date().isoformat())
    assert after["purged"] == {key: found[key] for key in ("days", "units", "amount_cents")}
    for name in ("columns", "should_not_bill", "agrees", "ours", "theirs", "differences"):
        assert after[name] == before[name], name
    cli.main(["reconcile", "--config", str(world.folder)])
    shown = " ".join(capsys.readouterr().out.split())
    assert f"purged: {found['days']} treatment days of these, with {found['units']} units" in shown
    assert jobs.reconcile(world.config, since=DAY + timedelta(days=1))[CLINIC]["purged"]["days"] == 0


# ---------------------------------------------------------------- the inbox


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Hl7World]:
    """A clinic whose EMR sent three messages about a visit, which was billed."""
    with lakeside(tmp_path / "config") as one:
        one.receive(*a_visit())
        assert one.sync().submissions_sent == 1
        yield one


def inbox_rows(clinic: Hl7World, query: str) -> list[tuple[Any, ...]]:
    connection = apsw.Connection(str(clinic.config.state / "inbox.sqlite"))
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def in_the_files(clinic: Hl7World, *words: bytes) -> list[bytes]:
    """Those words that stand in a byte of the inbox or its log."""
    everything = b"".join(path.read_bytes() for path in sorted(clinic.config.state.glob("inbox.sqlite*")))
    return [word for word in words if word in everything]


def test_S12_old_messages_lose_their_bytes_and_keep_their_place_their_time_and_their_digest(clinic: Hl7World) -> None:
    query = "SELECT seq, sender, facility, control_id, received_at, origin, sha256, kind, answer FROM message ORDER BY seq"
    before, books = inbox_rows(clinic, query), clinic.live()
    words = (b"Quill", b"M100", b"1EG4TE5MK73", b"12 Shore Rd")
    assert in_the_files(clinic, *words) == list(words)
    shown = purge(clinic.config, older_than_days=400, now=LATER)["lakeside-pt"]
    assert shown["messages"] == 3 and in_the_files(clinic, *words) == list(words), "without really nothing goes"
    reader = apsw.Connection(str(clinic.config.state / "inbox.sqlite"))  # as above
    assert reader.execute("SELECT count(*) FROM message").get == 3
    assert purge(clinic.config, older_than_days=400, now=LATER, really=True)["lakeside-pt"]["messages"] == 3
    assert in_the_files(clinic, *words) == []
    reader.close()
    assert inbox_rows(clinic, query) == before
    assert inbox_rows(clinic, "SELECT DISTINCT raw, state FROM message") == [(b"", "purged")]
    assert inbox_rows(clinic, "SELECT count(*) FROM about") == [(0,)]
    with pytest.raises(apsw.ConstraintError):
        inbox_rows(clinic, "UPDATE message SET raw = X'00' WHERE seq = 1")
    assert safekeeping.verify(clinic.config)["sound"]
    with Ledger.open(clinic.config.state, write=False) as ledger:
        assert "messages=3" in ledger.history.of("ledger", 0)[-1]["detail"]
    assert all(stored.repeated for stored in clinic.receive(*a_visit())), "sent again, they are known"
    clinic.sync()
    assert {key: clinic.live()[key] for key in ("charges", "units", "events")} == {
        key: books[key] for key in ("charges", "units", "events")
    }
    assert purge(clinic.config, older_than_days=400, now=LATER, really=True)["lakeside-pt"]["messages"] == 0


def test_S12_a_message_stays_while_its_visit_is_spoken_of_or_nobody_has_read_it(clinic: Hl7World) -> None:
    """What belongs together may still be read together: a new message about an old visit needs the old ones."""
    news = adt("A08", "NEW")
    recent = LATER - timedelta(days=10)
    other = [raw.replace(b"V1", b"V9").replace(b"M100", b"M900").replace(b"1EG4TE5MK73", b"1EG4TE5MK99") for raw in a_visit()]
    clinic.receive(*other)
    with Inbox.open(clinic.config.state) as inbox:
        inbox.store(
            [Arrival(clinic="lakeside-pt", origin="x", received_at=recent, raw=news, envelope=envelope_of(news, Rules()))]
        )
    unread = purge(clinic.config, older_than_days=400, now=LATER, really=True)["lakeside-pt"]
    assert unread["messages"] == 0, "V1 is spoken of, and V9 was not read yet"
    clinic.sync()
    assert purge(clinic.config, older_than_days=400, now=LATER, really=True)["lakeside-pt"]["messages"] == 3
    assert in_the_files(clinic, b"M100", b"M900") == [b"M100"]


def test_S12_a_purge_of_the_inbox_that_is_cut_off_leaves_it_as_it_was(
    clinic: Hl7World, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries = ("SELECT * FROM message ORDER BY seq", "SELECT name, sql FROM sqlite_schema ORDER BY name")
    before = [inbox_rows(clinic, query) for query in queries]
    empty = inbox_purge._empty

    def cut(*arguments: Any) -> None:
        empty(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(inbox_purge, "_empty", cut)
    with pytest.raises(KeyboardInterrupt):
        purge(clinic.config, older_than_days=400, now=LATER, really=True)
    assert [inbox_rows(clinic, query) for query in queries] == before


class _Later(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return LATER


def test_S12_the_digest_of_what_was_received_still_names_it(world: World) -> None:
    """Whoever kept a copy of a payload can still show that it is the one that was received."""
    before = {id_: hashlib.sha256(body).digest() for table, id_, body in contents(world) if table == "source_record"}
    purged(world, really=True)
    rows = {int(str(id_)): sha256 for id_, sha256 in raw(world).execute("SELECT id, sha256 FROM source_record")}
    assert rows == before
    assert json.dumps(jobs.status(world.config), default=str)
