"""`init` writes a folder that `doctor` accepts, and neither lets anything wrong or open to others pass."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import asyncssh
import pytest

from ptbridge.cli import main
from ptbridge.cli.checks import npi_is_well_formed
from ptbridge.cli.init_claims import quoted
from ptbridge.cli.peer_checks import clock_offset
from ptbridge.specs.yaml_text import parse

FLAGS = {
    "--clinic": "northside",
    "--name": 'Northside: "PT", # 1 – O’Hare',
    "--time-zone": "America/Chicago",
    "--npi": "1234567893",
    "--emr-url": "http://127.0.0.1:9/fhir",
    "--client-id": "ptbridge",
    "--biller-url": "http://127.0.0.1:9",
    "--payer": "MCR-B=medicare_part_b",
}


def init(folder: Path, **change: str) -> int:
    flags = FLAGS | {f"--{key.replace('_', '-')}": value for key, value in change.items()}
    return main(["init", "--config", str(folder), *(part for pair in flags.items() for part in pair)])


def doctor(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, str]]]:
    capsys.readouterr()
    code = main(["doctor", "--offline", "--json", "--config", str(folder)])
    return code, json.loads(capsys.readouterr().out)["checks"]


def ready(folder: Path) -> Path:
    assert init(folder) == 0
    (folder / "secrets/biller_token").write_text("token")
    (folder / "secrets/biller_token").chmod(0o600)
    return folder


def test_doctor_accepts_what_init_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ready(tmp_path / "ptbridge")
    code, checks = doctor(folder, capsys)
    assert [check for check in checks if check["status"] == "fail"] == []
    assert code == 0
    assert any("no prices" in check["what"] for check in checks)


def test_a_clinic_whose_emr_writes_messages_into_a_folder_needs_no_listener(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "ptbridge"
    kept = {flag: value for flag, value in FLAGS.items() if flag not in ("--emr-url", "--client-id")}
    words = [part for pair in kept.items() for part in pair]
    words += ["--connector", "hl7v2", "--emr-option", "drop_folder=../messages"]
    assert main(["init", "--config", str(folder), *words]) == 0
    assert parse((folder / "clinics/northside.yaml").read_text()).data["source"]["options"] == {"drop_folder": "../messages"}
    (folder / "secrets/biller_token").write_text("token")
    (folder / "secrets/biller_token").chmod(0o600)
    assert doctor(folder, capsys)[0] == 0
    both = tmp_path / "both"
    assert main(["init", "--config", str(both), *words, "--listen", "127.0.0.1:0"]) == 0
    assert parse((both / "clinics/northside.yaml").read_text()).data["source"]["options"] == {
        "drop_folder": "../messages",
        "address": "127.0.0.1:0",
    }


def test_a_clinic_whose_emr_sends_messages_needs_no_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "ptbridge"
    kept = {flag: value for flag, value in FLAGS.items() if flag not in ("--emr-url", "--client-id")}
    words = [part for pair in kept.items() for part in pair]
    assert main(["init", "--config", str(folder), *words, "--connector", "hl7v2"]) == 2
    assert "--listen or --emr-option drop_folder=DIR" in capsys.readouterr().err and not folder.exists()
    assert main(["init", "--config", str(folder), *words, "--connector", "hl7v2", "--listen", "127.0.0.1:0"]) == 0
    clinic = parse((folder / "clinics" / "northside.yaml").read_text()).data
    assert clinic["source"] == {
        "connector": "hl7v2",
        "environment": "production",
        "mapping": "mappings/northside.yaml",
        "options": {"address": "127.0.0.1:0"},
    }
    assert not (folder / "emr_jwks.json").exists()
    (folder / "secrets/biller_token").write_text("token")
    (folder / "secrets/biller_token").chmod(0o600)
    assert doctor(folder, capsys)[0] == 0


KEY = "SHA256:" + "A" * 43


@pytest.mark.parametrize(
    ("words", "destination"),
    [
        (
            ["--destination", "hl7v2_dft", "--biller-url", "mllps://127.0.0.1:9", "--profile", "full_day"],
            {
                "platform": "hl7v2_dft",
                "environment": "sandbox",
                "base_url": "mllps://127.0.0.1:9",
                "in_flight": "1",
                "options": {"profile": "full_day"},
            },
        ),
        (
            ["--destination", "hl7v2_dft", "--biller-folder", "out", "--profile", "full_day", "--environment", "sandbox"],
            {"platform": "hl7v2_dft", "environment": "sandbox", "folder": "out", "options": {"profile": "full_day"}},
        ),
        (
            [
                "--destination",
                "csv_drop",
                "--biller-url",
                "sftp://127.0.0.1:9/in",
                "--biller-user",
                "oak",
                "--biller-host-key",
                KEY,
            ],
            {
                "platform": "csv_drop",
                "environment": "sandbox",
                "base_url": "sftp://127.0.0.1:9/in",
                "auth": {
                    "method": "ssh_key",
                    "user": "oak",
                    "host_keys": [KEY],
                    "private_key": "file:secrets/biller_ssh_key",
                },
            },
        ),
    ],
)
def test_charges_may_go_as_messages_or_files(
    tmp_path: Path, words: list[str], destination: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "ptbridge"
    kept = [part for pair in FLAGS.items() if pair[0] != "--biller-url" for part in pair]
    assert main(["init", "--config", str(folder), *kept, *words]) == 0
    assert parse((folder / "clinics" / "northside.yaml").read_text()).data["destination"] == destination
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key()
    (folder / "secrets/biller_ssh_key").write_bytes(key)
    (folder / "secrets/biller_ssh_key").chmod(0o600)
    code, checks = doctor(folder, capsys)
    assert code == 0, [check for check in checks if check["status"] == "fail"]
    (folder / "secrets/biller_ssh_key").write_text("no key")
    told = [check["what"] for check in doctor(folder, capsys)[1] if check["status"] == "fail"]
    assert bool(told) == ("auth" in destination) and "no SSH private key" in f"{told or 'no SSH private key'}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--destination", "hl7v2_dft", "--biller-url", "mllps://h:1", "--profile", "nope"], "no interface profile 'nope'"),
        (["--destination", "hl7v2_dft", "--biller-url", "https://h", "--profile", "full_day"], "goes to mllps://"),
        (["--destination", "charge_api", "--biller-url", "sftp://h/in"], "takes files; charge_api sends none"),
        (["--destination", "charge_api", "--biller-folder", "out", "--biller-url", "https://h"], "--biller-folder is for"),
        (["--destination", "hl7v2_dft", "--biller-url", "mllp://h:1", "--profile", "full_day"], "is not encrypted"),
    ],
)
def test_a_place_that_does_not_fit_is_refused(
    tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = [part for pair in FLAGS.items() if pair[0] != "--biller-url" for part in pair]
    extra = ["--biller-user", "oak", "--biller-host-key", KEY]
    assert main(["init", "--config", str(tmp_path / "c"), *kept, *words, *extra]) == 6
    assert said in capsys.readouterr().err and not (tmp_path / "c").exists()


def test_what_medicare_allows_is_asked_for_where_medicare_pays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path / "c") == 0
    assert "KX threshold" in capsys.readouterr().out
    assert "# allowed: fees/northside_medicare_allowed.csv" in (tmp_path / "c/clinics/northside.yaml").read_text()
    assert init(tmp_path / "d", payer="AET=commercial_midpoint") == 0
    assert "KX threshold" not in capsys.readouterr().out


def test_only_a_clinic_that_receives_messages_is_listened_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path / "c", listen="127.0.0.1:0") != 0
    assert "--listen is for HL7 v2" in capsys.readouterr().err and not (tmp_path / "c").exists()


def test_private_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert init(tmp_path / "c") == 0
    finally:
        os.umask(before)
    modes = {
        name: stat.S_IMODE((tmp_path / "c" / name).stat().st_mode)
        for name in ("secrets", "state", "secrets/emr_private_key.pem")
    }
    assert modes == {"secrets": 0o700, "state": 0o700, "secrets/emr_private_key.pem": 0o600}


def test_the_jwks_holds_the_public_half_only(tmp_path: Path) -> None:
    assert init(tmp_path / "c") == 0
    (key,) = json.loads((tmp_path / "c/emr_jwks.json").read_text())["keys"]
    assert key["kty"] == "RSA"
    assert not {"d", "p", "q", "dp", "dq", "qi"} & set(key)


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path / "c") == 0
    before = {path: path.read_bytes() for path in (tmp_path / "c").rglob("*") if path.is_file()}
    assert init(tmp_path / "c", name="Other") == 6
    assert "already there" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "c").rglob("*") if path.is_file()} == before


def test_a_second_clinic_joins_the_folder_and_keeps_the_key(tmp_path: Path) -> None:
    assert init(tmp_path / "c") == 0
    key = (tmp_path / "c/secrets/emr_private_key.pem").read_bytes()
    assert init(tmp_path / "c", clinic="southside") == 0
    assert (tmp_path / "c/secrets/emr_private_key.pem").read_bytes() == key


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"time_zone": "Chicago"}, 6, "time_zone: 'Chicago'"),
        ({"clinic": "../north"}, 6, "not a short name"),
        ({"emr_url": "http://emr.example/fhir"}, 6, "not encrypted"),
        ({"biller_secret": "hunter2"}, 6, "not a reference to a secret"),
        ({"connector": "nope"}, 6, "no connector 'nope'"),
        ({"payer": "MCR-B=nope"}, 6, "no policy 'nope'"),
        ({"payer": "MCR-B"}, 2, "not ID=POLICY"),
    ],
)
def test_a_wrong_answer_leaves_nothing_behind(
    tmp_path: Path, change: dict[str, str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(tmp_path / "c", **change) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert "hunter2" not in shown
    assert not (tmp_path / "c").exists()


def test_missing_options_are_told_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--config", str(tmp_path / "c"), "--clinic", "a", "--json"]) == 2
    assert "--name, --time-zone, --npi, --emr-url, --client-id, --biller-url" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["plain", "02", "NO", "8:30", "a: b", "# x", '"', "'", "", " x ", "é – “q”", "a\nb", "{", "- a", "~", "\\"]
)
def test_quoting_reads_back(text: str) -> None:
    assert parse(f"key: {quoted(text)}").data == {"key": text}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "secrets").chmod(0o755), "other users can look in"),
        (lambda folder: (folder / "secrets/biller_token").chmod(0o644), "chmod 600"),
        (lambda folder: (folder / "secrets/biller_token").unlink(), "No such file"),
        (lambda folder: (folder / "secrets/emr_private_key.pem").write_text("nonsense"), "private_key"),
        (lambda folder: (folder / "mappings/northside.yaml").write_text("mapping: x\nfixed: 1\n"), "northside.yaml:2"),
        (lambda folder: (folder / "fees/northside.csv").write_text("procedure,price\n"), "northside.csv:1"),
        (lambda folder: (folder / "state/ledger.sqlite").write_bytes(b"x" * 5000), "ledger"),
    ],
)
def test_doctor_finds_each_fault(tmp_path: Path, spoil: object, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ready(tmp_path / "c")
    assert callable(spoil)
    spoil(folder)
    code, checks = doctor(folder, capsys)
    failed = [check["what"] + check["do"] for check in checks if check["status"] == "fail"]
    assert code == 6
    assert len(failed) == 1, failed
    assert said in failed[0]
    assert "unexpected" not in failed[0]


def test_doctor_without_a_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, checks = doctor(tmp_path, capsys)
    assert code == 6
    assert "ptbridge init" in checks[0]["what"]


def test_doctor_tells_a_dead_peer_from_a_wrong_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = ready(tmp_path / "c")
    assert main(["doctor", "--config", str(folder)]) == 5
    assert "fail" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("npi", "good"),
    [
        ("1234567893", True),
        ("1234567890", False),
        ("123456789", False),
        ("12345678931", False),
        ("１２３４５６７８９３", False),
    ],
)
def test_npi_check_digit(npi: str, good: bool) -> None:
    assert npi_is_well_formed(npi) is good


@pytest.mark.parametrize(
    ("seconds", "status"), [(0, "ok"), (29, "ok"), (30, "warn"), (199, "warn"), (200, "fail"), (-400, "fail")]
)
def test_clock_offset(seconds: int, status: str) -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert clock_offset(format_datetime(now + timedelta(seconds=seconds), usegmt=True), now)[0] == status


@pytest.mark.parametrize("header", [None, "", "yesterday"])
def test_no_clock_to_compare(header: str | None) -> None:
    assert clock_offset(header, datetime.now(UTC))[0] == "ok"
