"""The SFTP client against a real SSH server on loopback: pins, credentials, files whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncssh
import pytest
from ptbridge_sandbox.sftp_server import PASSWORD, USER, SftpSandbox

from ptbridge.errors import ConfigError, OutcomeUnknown, PeerRefused, PeerUnavailable, RecordError
from ptbridge.wire.sftp import SftpServer, connect, pinned, split_address
from ptbridge.wire.sftp_folders import RemoteFolders, is_staged, staged_name

Session = Callable[[SftpSandbox, RemoteFolders], Awaitable[None]]


def _server(sandbox: SftpSandbox, **changed: object) -> SftpServer:
    values: dict[str, object] = {
        "host": "127.0.0.1",
        "port": sandbox.port,
        "user": USER,
        "host_keys": (sandbox.fingerprint,),
        "password": PASSWORD,
    }
    return SftpServer(**{**values, **changed})  # type: ignore[arg-type]


def _session(folder: Path, work: Session) -> None:
    async def run() -> None:
        async with SftpSandbox(folder) as sandbox, connect(_server(sandbox)) as folders:
            await work(sandbox, folders)

    asyncio.run(run())


def _refusal(sandbox: SftpSandbox, expected: type[Exception], **changed: object) -> str:
    async def run() -> str:
        async with sandbox:
            with pytest.raises(expected) as caught:
                async with connect(_server(sandbox, **changed)):
                    pass
            return str(caught.value)

    return asyncio.run(run())


def test_files_are_listed_read_renamed_and_removed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.hl7").write_bytes(b"MSH|b" * 40_000)
    (tmp_path / "out" / "a.hl7").symlink_to("b.hl7")
    (tmp_path / "out" / "old").mkdir()

    async def work(_: SftpSandbox, folders: RemoteFolders) -> None:
        entries = await folders.list("out")
        assert [(one.name, one.kind) for one in entries] == [("a.hl7", "other"), ("b.hl7", "file"), ("old", "folder")]
        assert entries[1].size_bytes == 200_000
        assert entries[1].changed_at == int((tmp_path / "out" / "b.hl7").stat().st_mtime)
        assert await folders.read("out/b.hl7") == b"MSH|b" * 40_000
        assert await folders.read("out/none.hl7") is None
        with pytest.raises(RecordError, match="link or a device"):
            await folders.read("out/a.hl7")
        with pytest.raises(RecordError, match="larger than 199999 bytes"):
            await folders.read("out/b.hl7", 199_999)
        await folders.make_folder("out/processed")
        await folders.make_folder("out/processed")
        await folders.rename("out/b.hl7", "out/processed/b.hl7")
        assert (tmp_path / "out" / "processed" / "b.hl7").stat().st_size == 200_000
        await folders.remove("out/processed/b.hl7")
        await folders.remove("out/processed/b.hl7")
        assert await folders.list("out/processed") == []
        with pytest.raises(PeerUnavailable, match="not there"):
            await folders.list("nowhere")

    _session(tmp_path, work)


def test_an_upload_gets_its_name_whole_and_never_over_another(tmp_path: Path) -> None:
    async def work(_: SftpSandbox, folders: RemoteFolders) -> None:
        await folders.write_atomic(".", "day.hl7", b"x" * 300_000)
        assert (tmp_path / "day.hl7").read_bytes() == b"x" * 300_000
        await folders.write_atomic(".", "day.hl7", b"x" * 300_000)  # again: nothing to do
        with pytest.raises(PeerRefused, match="other content"):
            await folders.write_atomic(".", "day.hl7", b"y" * 300_000)
        with pytest.raises(PeerRefused, match="other content"):
            await folders.write_atomic(".", "day.hl7", b"x" * 299_999)
        assert [path.name for path in tmp_path.iterdir()] == ["day.hl7"]
        (tmp_path / "other.hl7").write_bytes(b"theirs")
        with pytest.raises(PeerRefused, match="there already"):
            await folders.rename("day.hl7", "other.hl7")
        assert (tmp_path / "other.hl7").read_bytes() == b"theirs"

    _session(tmp_path, work)


def test_a_cut_upload_leaves_no_file_by_its_name_and_is_made_good_later(tmp_path: Path) -> None:
    async def run() -> None:
        async with SftpSandbox(tmp_path) as sandbox:
            sandbox.faults.cut_upload_after = 100_000
            with pytest.raises(PeerUnavailable):
                async with connect(_server(sandbox)) as folders:
                    await folders.write_atomic(".", "day.hl7", b"x" * 300_000)
            assert [path.name for path in tmp_path.iterdir()] == [staged_name("day.hl7")]
            assert is_staged(staged_name("day.hl7")) and not is_staged("day.hl7")
            async with connect(_server(sandbox)) as folders:
                await folders.write_atomic(".", "day.hl7", b"x" * 300_000)
            assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == {"day.hl7": 300_000}

    asyncio.run(run())


@pytest.mark.parametrize(("moment", "left"), [("before", staged_name("day.hl7")), ("after", "day.hl7")])
def test_a_connection_lost_in_the_rename_is_an_unknown_outcome(tmp_path: Path, moment: str, left: str) -> None:
    async def run() -> None:
        async with SftpSandbox(tmp_path) as sandbox:
            sandbox.faults.cut_rename = moment
            with pytest.raises(OutcomeUnknown, match="may have taken effect"):
                async with connect(_server(sandbox)) as folders:
                    await folders.write_atomic(".", "day.hl7", b"x" * 10)
            assert [path.name for path in tmp_path.iterdir()] == [left]

    asyncio.run(run())


def test_another_host_key_gets_no_credential(tmp_path: Path) -> None:
    sandbox = SftpSandbox(tmp_path)
    other = SftpSandbox(tmp_path)
    told = _refusal(sandbox, PeerRefused, host_keys=(other.fingerprint,))
    assert sandbox.fingerprint in told
    assert "no credential was sent" in told
    assert sandbox.tried == 0
    told = _refusal(sandbox, PeerRefused, host_keys=(other.host_key,))
    assert sandbox.tried == 0


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_a_key_line_is_a_pin_for_every_kind_of_key(tmp_path: Path, kind: str) -> None:
    async def run() -> None:
        async with SftpSandbox(tmp_path, host_key_kind=kind) as sandbox:
            for pin in (sandbox.host_key, f"[biller.example]:2222 {sandbox.host_key}", sandbox.fingerprint):
                async with connect(_server(sandbox, host_keys=(pin,))) as folders:
                    assert await folders.list(".") == []
            assert sandbox.logins == 3

    asyncio.run(run())


def test_a_private_key_logs_in_and_another_does_not(tmp_path: Path) -> None:
    key, stranger = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")

    async def run() -> None:
        async with SftpSandbox(tmp_path, keys=(key,)) as sandbox:
            text = key.export_private_key().decode()
            async with connect(_server(sandbox, password=None, private_key=text)) as folders:
                assert await folders.list(".") == []

    asyncio.run(run())
    wrong = stranger.export_private_key().decode()
    told = _refusal(SftpSandbox(tmp_path, keys=(key,)), PeerRefused, password=None, private_key=wrong)
    assert "refused our credential" in told
    told = _refusal(SftpSandbox(tmp_path, keys=(key,)), PeerRefused, password="wrong")
    assert "wrong" not in told
    locked = key.export_private_key("pkcs8-pem", passphrase="secret").decode()
    assert "pass phrase" in _refusal(SftpSandbox(tmp_path), ConfigError, password=None, private_key=locked)
    _refusal(SftpSandbox(tmp_path), ConfigError, password=None)


def test_what_is_no_pin_is_refused_before_anything_is_dialled() -> None:
    for written in ((), ("",), ("SHA256:short",), ("ssh-ed25519 nonsense",), ("MD5:aa:bb",)):
        with pytest.raises(ConfigError, match="host_key"):
            pinned(written)


def test_nobody_there_and_a_forbidden_address(tmp_path: Path) -> None:
    async def run() -> None:
        sandbox = SftpSandbox(tmp_path)
        async with sandbox:
            pass
        with pytest.raises(PeerUnavailable, match="no connection"):
            async with connect(_server(sandbox)):
                pass
        with pytest.raises(PeerRefused, match="must not be dialled"):
            async with connect(_server(sandbox, host="169.254.169.254")):
                pass

    asyncio.run(run())


def test_what_the_other_side_forbids_is_a_refusal_that_says_so(tmp_path: Path) -> None:
    async def work(sandbox: SftpSandbox, folders: RemoteFolders) -> None:
        sandbox.faults.forbidden = {"mkdir", "write"}
        with pytest.raises(PeerRefused, match="may not touch a new folder"):
            await folders.make_folder("processed")
        with pytest.raises(PeerRefused, match="may not touch an upload"):
            await folders.write_atomic(".", "day.hl7", b"x")

    _session(tmp_path, work)


def test_an_address_is_taken_apart_and_a_user_in_it_is_refused() -> None:
    assert split_address("sftp://biller.example/in/day%201") == ("biller.example", 22, "/in/day 1")
    assert split_address("sftp://10.0.0.5:2222") == ("10.0.0.5", 2222, ".")
    for wrong in (
        "https://biller.example/in",
        "sftp://user:pw@biller.example/in",
        "sftp:///in",
        "sftp://h:99999/",
        "sftp://h/a?b",
    ):
        with pytest.raises(ConfigError) as caught:
            split_address(wrong)
        assert "pw" not in str(caught.value)
