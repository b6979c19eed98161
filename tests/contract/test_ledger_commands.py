"""The commands that look after ledger and inbox, as a person types them: with an inbox, so that both files are in play."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from ptbridge import cli
from ptbridge.inbox import Inbox
from tests.hl7_clinic import CLINIC, Hl7World, a_visit, lakeside


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Hl7World]:
    with lakeside(tmp_path / "lakeside") as one:
        one.receive(*a_visit("V1"), *a_visit("V2", mrn="M200"))
        yield one


def run(clinic: Hl7World, *words: str) -> int:
    return cli.main([*words, "--config", str(clinic.world.folder)])


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_verify_says_each_check_and_the_end_of_the_history(clinic: Hl7World, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(clinic, "verify") == 8, "there is no ledger yet"
    run(clinic, "sync")
    capsys.readouterr()
    assert run(clinic, "verify") == 0
    said = told(capsys)
    for check in ("file", "schema", "history", "bytes", "keys", "one live charge a day", "sums", "inbox"):
        assert f"ok   {check} (" in said
    end = said.rsplit("the history ends with ", 1)[1].strip()
    assert run(clinic, "verify", "--noted", end) == 0
    seq, _, digest = end.partition(":")
    assert run(clinic, "verify", "--noted", f"{seq}:{digest[::-1]}") == 8
    assert run(clinic, "verify", "--noted", "yesterday") == 2
    capsys.readouterr()
    assert run(clinic, "verify", "--json") == 0
    answer = json.loads(told(capsys))
    assert answer["sound"] and f"{answer['history'][0]}:{answer['history'][1]}" == end


def test_verify_finds_a_message_that_is_not_what_was_stored(clinic: Hl7World, capsys: pytest.CaptureFixture[str]) -> None:
    run(clinic, "sync")
    with apsw.Connection(str(clinic.world.folder / "state" / "inbox.sqlite")) as connection:
        connection.execute("DROP TRIGGER message_is_kept; UPDATE message SET sha256 = zeroblob(32) WHERE seq = 2")
    capsys.readouterr()
    assert run(clinic, "verify") == 8
    assert "message 2: its bytes are not those that were stored" in told(capsys)


def test_export_writes_a_line_of_json_for_each_documented_line(clinic: Hl7World, capsys: pytest.CaptureFixture[str]) -> None:
    run(clinic, "sync")
    capsys.readouterr()
    assert run(clinic, "ledger", "export", "--jsonl", "--clinic", CLINIC) == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == 4 and f"{len(rows)} lines: " in err
    assert len({tuple(row) for row in rows}) == 1, "every row has the same names"
    assert "Quill" not in out
    assert run(clinic, "ledger", "export", "--jsonl", "--phi", "--by", "auditor") == 0
    assert "Quill" in told(capsys)
    assert run(clinic, "ledger", "export", "--jsonl", "--clinic", "nowhere") == 6


def test_backup_and_restore_bring_both_files_back(clinic: Hl7World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "x.backup"
    assert run(clinic, "backup", str(file)) == 8, "there is no ledger yet"
    assert not file.exists()
    run(clinic, "sync")
    assert run(clinic, "backup", str(file)) == 0
    with tarfile.open(file) as archive:
        assert archive.getnames() == ["manifest.json", "inbox.sqlite", "ledger.sqlite"]
    clinic.receive(*a_visit("V3", mrn="M300"))
    run(clinic, "sync")
    before = clinic.world.books()
    assert run(clinic, "restore", str(file)) == 8
    assert "with --replace" in capsys.readouterr().err
    assert run(clinic, "restore", str(tmp_path / "nowhere")) == 8
    assert "nowhere: there is no such file. Nothing was restored." in capsys.readouterr().err
    assert run(clinic, "restore") == 2
    with Inbox.open(clinic.world.folder / "state", listener=True):
        assert run(clinic, "restore", str(file), "--replace") == 7
    assert run(clinic, "restore", str(file), "--replace", "--by", "owner") == 0
    said = told(capsys)
    assert "before it sends anything" in said and "each HL7 v2 sender send again" in said
    clinic.receive(*a_visit("V3", mrn="M300"))  # its sender sends again what was not in the backup
    run(clinic, "sync")
    assert clinic.world.books()["events"] == before["events"]
    assert run(clinic, "verify") == 0
    assert run(clinic, "restore", "--finish") == 0


def test_encrypt_and_rotate_cover_the_inbox_too(clinic: Hl7World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(clinic, "sync")
    key, next_key = tmp_path / "one.key", tmp_path / "two.key"
    assert run(clinic, "encrypt", "--new-key", str(key)) == 6
    said = capsys.readouterr().err
    assert f'key: "file:{key}"' in said and key.read_text().strip() not in said
    settings = clinic.world.folder / "ptbridge.yaml"
    settings.write_text(f'encryption:\n  key: "file:{key}"\n', "utf-8")
    assert run(clinic, "sync") == 8
    assert run(clinic, "rotate-key") == 6
    assert run(clinic, "encrypt") == 0
    for name in ("ledger.sqlite", "inbox.sqlite"):
        content = (clinic.world.folder / "state" / name).read_bytes()
        assert not content.startswith(b"SQLite") and b"Quill" not in content and b"M200" not in content
    clinic.receive(*a_visit("V4", mrn="M400"))
    assert run(clinic, "sync") in (0, 3) and run(clinic, "verify") == 0
    assert run(clinic, "encrypt", "--new-key", str(next_key)) == 6
    settings.write_text(f'encryption:\n  key: "file:{next_key}"\n', "utf-8")
    assert run(clinic, "status") == 6
    assert run(clinic, "rotate-key", "--from", f"file:{key}") == 0
    assert run(clinic, "rotate-key", "--data", "--json") == 0
    assert run(clinic, "status") == 0 and run(clinic, "verify") == 0
