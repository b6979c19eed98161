"""TLS and mutual TLS as they run: `ptbridge listen` with certificates of an authority made here, and a biller over mllps."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ptbridge_sandbox.hl7_biller import Hl7Biller

from ptbridge import jobs
from ptbridge.inbox import ClinicInbox
from ptbridge.wire.mllp import client_tls, server_tls
from tests.certificates import Signer, certificate
from tests.contract.test_hl7_main_job import point_to
from tests.contract.test_listen import msa
from tests.hl7_clinic import CLINIC, Hl7World, a_visit
from tests.world import running


@contextmanager
def listening(clinic: Hl7World, said: str) -> Iterator[int]:
    """The service, once it says how it is secured; gives its port."""
    command = [sys.executable, "-m", "ptbridge", "listen", "--config", str(clinic.world.folder), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        assert f"({said})" in ready, ready or process.communicate(timeout=20)
        yield int(ready.split(" (")[0].rpartition(":")[2])
    finally:
        process.terminate()
        process.communicate(timeout=20)


def exchange(port: int, raw: bytes, context: ssl.SSLContext | None) -> bytes:
    """The answer to one message; nothing when the connection was refused, at the handshake or after it."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
    try:
        connection = context.wrap_socket(plain, server_hostname="127.0.0.1") if context else plain
    except (ssl.SSLError, ConnectionError):
        plain.close()
        return b""
    with connection, contextlib.suppress(ssl.SSLError, ConnectionError):
        connection.sendall(b"\x0b" + raw + b"\x1c\r")
        found = b""
        while not found.endswith(b"\x1c\r") and (more := connection.recv(65_536)):
            found += more
        return found
    return b""


def stored(clinic: Hl7World) -> int:
    with ClinicInbox.open(clinic.config.state, CLINIC) as inbox:
        return inbox.last()


def authority(folder: Path) -> tuple[str, Signer]:
    name, _, signer = certificate(folder, "authority", None)
    return name, signer


def test_tls_is_spoken_and_nothing_else(clinic: Hl7World, tmp_path: Path) -> None:
    ca, signer = authority(tmp_path)
    chain, key, _ = certificate(tmp_path, "listener", signer)
    other, _, _ = certificate(tmp_path, "other-authority", None)
    clinic.option(f"tls_certificate: {chain}")
    clinic.option(f"tls_key: {key}")
    message = a_visit()[0]
    with listening(clinic, "TLS") as port:
        assert b"MSA" not in exchange(port, message, None)
        assert exchange(port, message, client_tls(authority=other)) == b""  # the sender refuses us
        assert stored(clinic) == 0
        assert msa(exchange(port, message, client_tls(authority=ca))) == [b"AA|V1-A"]
    assert stored(clinic) == 1


def test_mutual_tls_takes_only_who_shows_a_certificate_of_the_named_authority(clinic: Hl7World, tmp_path: Path) -> None:
    ca, signer = authority(tmp_path)
    chain, key, _ = certificate(tmp_path, "listener", signer)
    mine, my_key, _ = certificate(tmp_path, "engine", signer)
    (tmp_path / "foreign").mkdir()
    _, foreign = authority(tmp_path / "foreign")
    theirs, their_key, _ = certificate(tmp_path, "impostor", foreign)
    for name, file in (("tls_certificate", chain), ("tls_key", key), ("tls_client_ca", ca)):
        clinic.option(f"{name}: {file}")
    message = a_visit()[0]
    with listening(clinic, "mutual TLS") as port:
        assert exchange(port, message, client_tls(authority=ca)) == b""  # shows none
        assert exchange(port, message, client_tls(authority=ca, certificate=theirs, key=their_key)) == b""
        assert b"MSA" not in exchange(port, message, None)
        assert stored(clinic) == 0
        assert msa(exchange(port, message, client_tls(authority=ca, certificate=mine, key=my_key))) == [b"AA|V1-A"]
    assert stored(clinic) == 1


def test_a_listener_for_other_machines_starts_with_tls_and_not_without(clinic: Hl7World, tmp_path: Path) -> None:
    _, signer = authority(tmp_path)
    chain, key, _ = certificate(tmp_path, "listener", signer)
    clinic.option("address: 0.0.0.0:0")
    command = [sys.executable, "-m", "ptbridge", "listen", "--config", str(clinic.world.folder)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert refused.returncode == 6 and "plain MLLP carries patient data unprotected" in refused.stderr
    clinic.option(f"tls_certificate: {chain}")
    clinic.option(f"tls_key: {key}")
    with listening(clinic, "TLS"):
        pass


@pytest.mark.parametrize("ours", [True, False])
def test_charges_go_to_a_biller_that_asks_for_our_certificate(tmp_path: Path, ours: bool) -> None:
    ca, signer = authority(tmp_path)
    chain, key, _ = certificate(tmp_path, "biller", signer)
    mine, my_key, _ = certificate(tmp_path, "clinic", signer)
    shown = {"tls_certificate_file": mine, "tls_key_file": my_key} if ours else {}

    async def run() -> int:
        async with Hl7Biller(tls=server_tls(chain, key, client_authority=ca)) as biller:
            options = {"profile": "sandbox_biller", "tls_ca_file": ca, **shown}
            point_to(world, base_url=biller.address, in_flight="1", options=options)
            await asyncio.to_thread(jobs.sync, world.config)
            return len(biller.received)

    with running(tmp_path / "config") as world:
        received = asyncio.run(run())
    assert (received > 0) == ours
