"""`init` offers every destination, asks for what that one needs, and `doctor` accepts what it wrote; on a terminal too."""

import asyncio
import importlib
import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asyncssh
import msgspec
import pytest

import tests.rigs
from ptbridge import plugins
from ptbridge.cli import main
from ptbridge.cli.init_claims import ClaimPayer, Street
from ptbridge.errors import ConfigError
from ptbridge.ports import DemandingDestination
from ptbridge.specs.config import load_config
from ptbridge.specs.yaml_text import parse

KEY = "SHA256:" + "A" * 43
CLINIC = {
    "--clinic": "oak",
    "--name": "Oak Street Physical Therapy",
    "--time-zone": "America/New_York",
    "--npi": "1234567893",
    "--emr-url": "https://emr.example/fhir",
    "--emr-auth": "none",
    "--payer": "MCR-B=medicare_part_b",
}
CLAIMS = {
    "--tax-id": "12-3456789",
    "--taxonomy": "261QP2000X",
    "--address": "100 Oak Street, Columbus, OH 43215-1234",
    "--contact": "Billing Office",
    "--phone": "614-555-0100",
    "--claim-payer": "MCR-B=15202,MB,MEDICARE PART B OHIO",
    "--accepts-assignment": "A",
    "--benefits-assigned": "Y",
    "--release-of-information": "Y",
    "--signature-on-file": "Y",
}
X12 = ["submitter_id=OAKPT", "receiver_id=CLEARHOUSE", "receiver_name=Example Clearinghouse", "usage=T"]
# What each platform is asked for beside the clinic, and the credentials' files that `init` then wants.
PLATFORMS: dict[str, tuple[list[str], list[str]]] = {
    "candid": (["--biller-client-id", "our-id"], ["biller_token"]),
    "charge_api": (["--biller-url", "https://biller.example"], ["biller_token"]),
    "claim_md": ([], ["biller_token"]),
    "csv_drop": (["--biller-folder", "outbox"], []),
    "fhir_claim": (["--biller-url", "https://biller.example/fhir"], ["biller_token"]),
    "hl7v2_dft": (["--biller-folder", "outbox", "--profile", "full_day"], []),
    "stedi": (["--biller-option", "usage=T"], ["biller_token"]),
    "x12_837p": (
        ["--biller-url", "sftp://files.example/in", "--biller-user", "oak", "--biller-host-key", KEY]
        + [word for option in X12 for word in ("--biller-option", option)],
        ["biller_ssh_key"],
    ),
}


def init(folder: Path, platform: str, *more: str) -> int:
    words = [word for pair in CLINIC.items() for word in pair]
    return main(["init", "--config", str(folder), "--destination", platform, *words, *more])


def all_claims() -> list[str]:
    return [word for pair in CLAIMS.items() for word in pair]


def keep_secrets(folder: Path, names: list[str]) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    for name in names:
        path = folder / "secrets" / name
        path.write_text(key if "ssh" in name else "token")
        path.chmod(0o600)


def doctor(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    capsys.readouterr()
    main(["doctor", "--offline", "--json", "--config", str(folder)])
    checks: list[dict[str, str]] = json.loads(capsys.readouterr().out)["checks"]
    return checks


def test_every_destination_is_tried_here() -> None:
    assert set(PLATFORMS) == set(plugins.destination_names())


@pytest.mark.parametrize("platform", PLATFORMS)
def test_doctor_accepts_what_init_wrote_for_it(platform: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words, secrets = PLATFORMS[platform]
    assert init(tmp_path / "c", platform, *words, *all_claims()) == 0
    told = capsys.readouterr().out
    assert all(f"secrets/{name}" in told for name in secrets) and "each claim needs" not in told
    keep_secrets(tmp_path / "c", secrets)
    checks = doctor(tmp_path / "c", capsys)
    assert [check for check in checks if check["status"] == "fail"] == []
    assert not any("SB03" in check["what"] for check in checks)
    spec = load_config(tmp_path / "c").clinics["oak"]
    info = plugins.destination(platform).INFO
    assert spec.destination.base_url or spec.destination.folder
    if info.states:
        assert spec.claims == tests.rigs.CLAIMS
        assert spec.billing_provider.address == msgspec.structs.replace(tests.rigs.BILLING.address, postal_code="43215-1234")


@pytest.mark.parametrize("platform", [name for name in PLATFORMS if plugins.destination(name).INFO.states])
def test_what_claims_need_may_come_later_and_is_named(
    platform: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, secrets = PLATFORMS[platform]
    assert init(tmp_path / "c", platform, *words) == 0
    told = capsys.readouterr().out.replace("\n     ", " ")
    keep_secrets(tmp_path / "c", secrets)
    checks = doctor(tmp_path / "c", capsys)
    assert [check for check in checks if check["status"] == "fail"] == []
    warned = " ".join(check["what"] for check in checks if check["status"] == "warn")
    for key in plugins.destination(platform).INFO.states:
        name = key.replace("claims.payers", "claims.payers.MCR-B")
        assert f"no {name}: each claim needs it" in warned and name in told, key
        assert key.rpartition(".")[2] in (tmp_path / "c/clinics/oak.yaml").read_text()  # how to write it, as a comment


@pytest.mark.parametrize(
    ("platform", "words", "code", "said"),
    [
        ("stedi", [], 2, "--biller-option usage=…"),
        ("candid", [], 2, "--biller-client-id"),
        ("x12_837p", [], 2, "--biller-folder or --biller-url, --biller-option submitter_id=…"),
        ("stedi", ["--biller-option", "usage=T", "--biller-option", "speed=9"], 6, "stedi has no option 'speed'"),
        ("stedi", ["--biller-option", "usage"], 2, "is not NAME=VALUE"),
        ("csv_drop", ["--biller-url", "https://biller.example"], 6, "csv_drop writes files"),
        ("stedi", ["--biller-option", "usage=T", "--address", "Oak Street"], 6, "is not an address"),
        ("stedi", ["--biller-option", "usage=T", "--claim-payer", "MCR-B=15202"], 6, "is not ID=PLATFORM-ID,FILING,NAME"),
        ("nope", [], 6, "no destination 'nope'"),
    ],
)
def test_what_a_platform_cannot_do_without_is_asked_for(
    platform: str, words: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(tmp_path / "c", platform, *words) == code
    assert said in capsys.readouterr().err and not (tmp_path / "c").exists()


@pytest.mark.parametrize("connector", plugins.connector_names())
def test_doctor_accepts_what_init_wrote_for_each_connector(
    connector: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = plugins.connector(connector).INFO
    words = ["--connector", connector, "--biller-folder", "outbox"]
    needed = {"address", *info.required} if info.standard == "HL7 v2" else set(info.required)
    if needed:
        assert init(tmp_path / "c", "csv_drop", *words) == 2
        told = capsys.readouterr().err
        assert all((f"--emr-option {name}=…" if name != "address" else "--listen") in told for name in needed)
    words += [word for name in needed - {"address"} for word in ("--emr-option", f"{name}=extracts")]
    words += ["--listen", "127.0.0.1:0"] if "address" in needed else []
    words += ["--emr-auth", "none"]
    assert init(tmp_path / "c", "csv_drop", *words) == 0
    assert [check for check in doctor(tmp_path / "c", capsys) if check["status"] == "fail"] == []
    assert init(tmp_path / "d", "csv_drop", *words, "--emr-option", "speed=9") == 6
    assert "has no such option" in capsys.readouterr().err and not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("platform: x12_837p", "platform: x12_837"), "no destination 'x12_837'"),
        (("connector: fhir_r4", "connector: fhir"), "no connector 'fhir'"),
        (("usage: T", "usgae: T"), "x12_837p has no option 'usgae'"),
        (("    usage: T\n", ""), "needs destination.options.usage"),
        (("  folder: outbox\n", ""), "needs destination.folder"),
    ],
)
def test_doctor_sees_a_wrong_platform_or_option_without_asking_anybody(
    change: tuple[str, str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [word for option in X12 for word in ("--biller-option", option)]
    assert init(tmp_path / "c", "x12_837p", "--biller-folder", "outbox", *options, *all_claims()) == 0
    file = tmp_path / "c/clinics/oak.yaml"
    assert change[0] in file.read_text()
    file.write_text(file.read_text().replace(*change))
    assert said in " ".join(check["what"] for check in doctor(tmp_path / "c", capsys) if check["status"] == "fail")


# ---------------------------------------------------------------- what a platform declares is what it does


async def lacking(rig_module: Any, folder: Path) -> bool:
    async with rig_module.rig(folder) as rig:
        demanding = isinstance(rig.destination, DemandingDestination)
        return demanding and bool(rig.destination.lacks(tests.rigs.a_day()))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_claim_needs_exactly_what_its_platform_says_that_it_states(
    platform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig_module = importlib.import_module(f"tests.rigs.{platform}")
    billing, claims = tests.rigs.BILLING, tests.rigs.CLAIMS
    changes: dict[str, dict[str, Any]] = {
        f"billing_provider.{key}": {"BILLING": msgspec.structs.replace(billing, **{key: None})}
        for key in ("tax_id", "taxonomy", "address", "contact", "phone")
    }
    for key in ("accepts_assignment", "benefits_assigned", "release_of_information", "signature_on_file", "payers"):
        without = {} if key == "payers" else None
        changes[f"claims.{key}"] = {"CLAIMS": msgspec.structs.replace(claims, **{key: without})}
    needed = set()
    for number, (key, values) in enumerate(changes.items()):
        with monkeypatch.context() as patch:
            for name, value in values.items():
                for module in [module for where, module in sys.modules.items() if where.startswith("tests.rigs")]:
                    if hasattr(module, name):
                        patch.setattr(module, name, value)
            folder = tmp_path / str(number) / "out"
            folder.mkdir(parents=True)
            if asyncio.run(lacking(rig_module, folder)):
                needed.add(key)
    assert needed == set(plugins.destination(platform).INFO.states)


def test_an_address_and_a_payer_are_read_in_their_parts() -> None:
    assert Street.read("1 Elm St, Suite 2, St. Louis, MO 63101") == Street(
        lines=("1 Elm St", "Suite 2"), city="St. Louis", state="MO", postal_code="63101"
    )
    payer = ClaimPayer.read("A=B = 1 , ci, ACME, Inc.".replace("A=B", "AB"))
    assert (payer.payer, payer.id, payer.filing, payer.name) == ("AB", "1", "CI", "ACME, Inc.")
    for wrong in ("1 Elm St, St. Louis", "St. Louis, MO 63101-12"):
        with pytest.raises(ConfigError, match="is not an address"):
            Street.read(wrong)


# ---------------------------------------------------------------- on a terminal


def typed(folder: Path, answers: list[str]) -> tuple[int, str]:
    """`ptbridge init` on a real terminal; each answer is typed when the last line waits for one."""
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - the child's side
        words = [sys.executable, "-P", "-m", "ptbridge", "init", "--config", str(folder)]
        os.execv(words[0], words)
    shown, waiting, ends = b"", list(answers), time.monotonic() + 60
    while time.monotonic() < ends:
        if not select.select([terminal], [], [], 0.2)[0]:
            if waiting and shown.rstrip(b" ").endswith(b":"):
                shown += b"\n"
                os.write(terminal, (waiting.pop(0) + "\n").encode())
            continue
        try:
            shown += os.read(terminal, 65536)
        except OSError:
            break
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), shown.decode().replace("\r\n", "\n")


def test_a_person_is_led_to_a_folder_that_doctor_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = ["Oak", "oak", "Oak Street Physical Therapy", "Ohio", "America/New_York", "1234567890", "1234567893"]
    answers += ["", "https://emr.example/fhir", "none", "x12", "x12_837p", "outbox"]
    answers += ["OAKPT", "CLEARHOUSE", "Example Clearinghouse", "T", "../answers"]
    answers += ["12-3456789", "somewhere", "100 Oak Street, Columbus, OH 43215-1234", "Billing Office", "614-555-0100"]
    answers += ["A", "Y", "Y", "Y"]
    answers += ["MCR-B", "medicare", "medicare_part_b", "15202", "MEDICARE PART B OHIO", "mb", ""]
    code, shown = typed(tmp_path / "c", answers)
    assert code == 0, shown
    assert "short name has" in shown and "not an IANA time zone" in shown and "an NPI has ten digits" in shown
    assert "writes files" not in shown and "Writes one X12 837P file" in shown and "is not an address" in shown
    checks = doctor(tmp_path / "c", capsys)
    assert [check for check in checks if check["status"] == "fail" or "SB03" in check["what"]] == []
    clinic = parse((tmp_path / "c/clinics/oak.yaml").read_text()).data
    assert clinic["claims"]["payers"] == {"MCR-B": {"id": "15202", "name": "MEDICARE PART B OHIO", "filing": "MB"}}
    assert clinic["destination"]["options"] == {**dict(option.split("=") for option in X12), "answers": "../answers"}
    assert clinic["payers"] == [{"policy": "medicare_part_b", "ids": ["MCR-B"]}]


@pytest.mark.parametrize(
    ("told", "options"),
    [
        (["127.0.0.1", "127.0.0.1:2575"], {"address": "127.0.0.1:2575"}),
        (["[::1]", "interface.oak.example:6661"], {"address": "interface.oak.example:6661"}),
        (["../messages"], {"drop_folder": "../messages"}),
        ([""], {"address": "127.0.0.1:2575"}),
    ],
)
def test_messages_come_to_a_door_or_into_a_folder(tmp_path: Path, told: list[str], options: dict[str, str]) -> None:
    answers = ["oak", "Oak Street Physical Therapy", "America/New_York", "1234567893", "hl7v2", *told]
    answers += ["csv_drop", "outbox", ""]
    code, shown = typed(tmp_path / "c", answers)
    assert code == 0, shown
    assert parse((tmp_path / "c/clinics/oak.yaml").read_text()).data["source"]["options"] == options
    assert ("has no port" in shown) == (len(told) > 1)


def test_an_option_that_should_not_be_forgotten_stands_in_the_file_as_a_comment(tmp_path: Path) -> None:
    words = ["--biller-folder", "outbox", *(word for option in X12 for word in ("--biller-option", option))]
    assert init(tmp_path / "c", "x12_837p", *words) == 0
    text = (tmp_path / "c/clinics/oak.yaml").read_text()
    assert "    # answers:  # the folder where TA1, 999, 277CA and 835 arrive" in text
    assert "answers" not in parse(text).data["destination"]["options"]
    assert init(tmp_path / "d", "x12_837p", *words, "--biller-option", "answers=../answers") == 0
    assert parse((tmp_path / "d/clinics/oak.yaml").read_text()).data["destination"]["options"]["answers"] == "../answers"


def test_the_list_and_the_options_of_destinations(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["destination", "list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in PLATFORMS)
    assert main(["destination", "options", "stedi"]) == 0
    shown = capsys.readouterr().out
    assert "(required)" in shown and "claims.signature_on_file" in shown
    assert main(["destination", "options", "csv_drop"]) == 0
    assert "takes no options" in capsys.readouterr().out
    for words in (["destination", "list"], ["destination", "options", "stedi"]):
        assert main([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)


def test_the_help_needs_no_platform() -> None:
    done = subprocess.run([sys.executable, "-P", "-m", "ptbridge", "init", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "--biller-option" in done.stdout
