"""A clinic's folders on SFTP servers: who we are there, files that arrive in them, and whether it can work."""

from __future__ import annotations

import logging
import os
import posixpath
from datetime import UTC, datetime
from pathlib import Path

from ptbridge.errors import ConfigError, PeerUnavailable, RecordError
from ptbridge.jobs.extracts import extract_profile
from ptbridge.specs.clinic import AuthSpec, ClinicSpec
from ptbridge.specs.config import Config
from ptbridge.wire.extract_folder import PATTERNS
from ptbridge.wire.sftp import SftpServer, connect, pinned, split_address
from ptbridge.wire.sftp_folders import RemoteFile, staged_name
from ptbridge.wire.sftp_inbound import ERRORS, PROCESSED, InboundFolder, TakenNames

log = logging.getLogger(__name__)


def sftp_server(config: Config, address: str, auth: AuthSpec) -> tuple[SftpServer, str]:
    """The server behind `sftp://host/folder`, its credential resolved now and kept nowhere else, and the folder on it.

    Raises ConfigError for an address, a pin or a secret that cannot be used.
    """
    host, port, folder = split_address(address)
    if auth.method not in ("ssh_key", "ssh_password") or not auth.user:
        raise ConfigError(f"sftp://{host}: auth needs method ssh_key or ssh_password, and user.")
    pinned(auth.host_keys)
    server = SftpServer(
        host=host,
        port=port,
        user=auth.user,
        host_keys=auth.host_keys,
        password=config.secret(auth.secret) if auth.method == "ssh_password" else None,
        private_key=config.secret(auth.private_key) if auth.method == "ssh_key" else None,
    )
    return server, folder


def keeps(spec: ClinicSpec) -> bool:
    """Whether taken files stay where they are on the server. Raises ConfigError."""
    written = spec.source.options.get("drop_after", "move")
    if written not in ("move", "keep"):
        raise ConfigError("is not one of move, keep.", where="source.options.drop_after")
    return written == "keep"


def extract_address(spec: ClinicSpec) -> str:
    """The SFTP address that a clinic's extracts arrive at; empty when its folder is one of this machine."""
    folder = spec.source.options.get("folder", "")
    return folder if isinstance(folder, str) and folder.startswith("sftp://") else ""


def local_extracts(config: Config, spec: ClinicSpec) -> Path:
    """Where the extracts of an SFTP server are laid for the connector; made if it is missing, mode 0700."""
    folder = config.state / "inbound" / spec.clinic
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


async def fetch_extracts(config: Config, spec: ClinicSpec) -> None:
    """Bring the complete extracts of the server here, each whole, then move it there (or remember it).

    A file of that name that the connector has not taken yet stays; the newer one waits for the next run. Raises ConfigError,
    PeerError.
    """
    server, folder = sftp_server(config, extract_address(spec), spec.source.auth)
    here = local_extracts(config, spec)
    async with connect(server) as folders:
        incoming = InboundFolder(
            folders=folders,
            folder=folder,
            settle_seconds=float(str(spec.source.options.get("settle_seconds", "60"))),
            patterns=_patterns(config, spec),
            taken=TakenNames(config.state / "taken" / f"{spec.clinic}.jsonl") if keeps(spec) else None,
        )
        for file in await incoming.arrivals(datetime.now(UTC)):
            await _fetch(file, incoming, here)


def _patterns(config: Config, spec: ClinicSpec) -> tuple[str, ...]:
    """The extracts' own names, and the endings of what the clinic's layout expects beside each."""
    profile = extract_profile(config, spec)
    totals = profile.totals if profile is not None else None
    sidecar = totals.ending if totals is not None and totals.place == "sidecar" else ""
    beside = (sidecar, str(spec.source.options.get("marker", "")))
    return (*str(spec.source.options.get("files", PATTERNS)).split(), *(f"*{ending}" for ending in beside if ending))


async def _fetch(file: RemoteFile, incoming: InboundFolder, here: Path) -> None:
    try:
        content = await incoming.read(file)
    except RecordError as error:
        await incoming.refused(file, str(error))
        log.warning("sftp: a file went to %s", ERRORS)
        return
    target = here / file.name
    if content is None or (target.exists() and target.read_bytes() != content):
        return
    _write(target, content, file.changed_at)
    await incoming.processed(file)


def _write(target: Path, content: bytes, changed_at: float | None) -> None:
    """Under a hidden name first, then renamed; with the server's time of change, which may order the files."""
    part = target.with_name(f".{target.name}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if changed_at is not None:
            os.utime(part, (changed_at, changed_at))
        part.replace(target)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise PeerUnavailable(f"{target.parent}: cannot be written ({error.strerror}). Make room, check its owner.") from None


async def check_inbound(config: Config, spec: ClinicSpec, address: str) -> list[str]:
    """Plain sentences: are we let in, what lies there, may we move files. Raises ConfigError, PeerError."""
    server, folder = sftp_server(config, address, spec.source.auth)
    async with connect(server) as folders:
        entries = await folders.list(folder)
        told = [f"{server} takes our credential; files in the folder: {sum(one.kind == 'file' for one in entries)}"]
        if not keeps(spec):
            for target in (PROCESSED, ERRORS):
                await folders.make_folder(posixpath.join(folder, target))
            probe = posixpath.join(folder, PROCESSED)
            await folders.stage(probe, "probe", b"")
            await folders.remove(posixpath.join(probe, staged_name("probe")))
            told.append(f"taken files can move to {PROCESSED} and {ERRORS} there")
    return told
