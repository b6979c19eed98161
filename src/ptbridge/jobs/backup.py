"""Backup and restore of a state folder: ledger, inbox and wrapped key in one file.

The file is a tar archive: `manifest.json` (what is in it, when, which end of the history), `ledger.sqlite`, and where there are
some, `inbox.sqlite` and `keys.json`. The ledger is copied before the inbox: what its cursor has read is then surely in the
inbox's copy. Encrypted databases stay encrypted in it; the master key is never in it.
"""

from __future__ import annotations

import getpass
import hashlib
import io
import os
import shutil
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import msgspec

import ptbridge
from ptbridge.errors import ConfigError, LedgerError
from ptbridge.inbox import INBOX_FILE
from ptbridge.inbox import database as inbox_database
from ptbridge.jobs.in_place import LEDGER_FILE, MEMBERS, finish, nobody_else, put_in_place, sync_folder, workshop
from ptbridge.jobs.run_names import last_run
from ptbridge.ledger import Ledger
from ptbridge.ledger import database as ledger_database
from ptbridge.ledger.copies import copy_database, recode_database
from ptbridge.specs import at_rest
from ptbridge.specs.config import Config

MANIFEST = "manifest.json"
_FORMAT = 1
_LARGEST_MANIFEST = 100_000
_PIECE = 1 << 20


class Member(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A file of the archive."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """What a backup holds. `history`: number and digest of the last row, for `ptbridge verify --noted`."""

    format: int
    made_at: datetime
    ptbridge: str
    encrypted: bool
    history: tuple[int, str]
    files: dict[str, Member]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore brought back, and where the state before it lies, if there was one."""

    manifest: Manifest
    aside: Path | None


# ---------------------------------------------------------------- backup


def backup(config: Config, file: Path) -> Manifest:
    """Write a backup of the state folder, while a sync or a listener may run. Mode 0600, complete or not there at all.

    Raises LedgerError when there is no ledger, the copy is not sound or cannot be written, ConfigError for the key.
    """
    key = at_rest.data_key(config.state)
    with Ledger.open(config.state, write=False):  # a newer schema, a damaged file and a missing ledger are refused here
        pass
    partial = file.with_name(f".{file.name}.part")
    try:
        with TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder:
            copies = Path(folder)
            _copy(config.state, copies, key)
            manifest = _describe(copies, key)
            _write(partial, copies, manifest)
        partial.replace(file)
    except OSError as error:
        raise LedgerError(f"{file}: {error.strerror}. No backup was made; the ledger is as it was.") from None
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(file.parent)
    return manifest


def _copy(state: Path, copies: Path, key: bytes | None) -> None:
    copy_database(state / LEDGER_FILE, copies / LEDGER_FILE, key)
    if (state / INBOX_FILE).exists():
        copy_database(state / INBOX_FILE, copies / INBOX_FILE, key)
    if key is not None:
        shutil.copyfile(state / at_rest.KEYS_FILE, copies / at_rest.KEYS_FILE)


def _describe(copies: Path, key: bytes | None) -> Manifest:
    connection = ledger_database.open_file(copies / LEDGER_FILE, key, write=False)
    try:
        head = connection.execute("SELECT seq, hex(digest) FROM history_head").fetchone()
    finally:
        connection.close()
    assert head is not None
    return Manifest(
        format=_FORMAT,
        made_at=datetime.now(UTC),
        ptbridge=ptbridge.__version__,
        encrypted=key is not None,
        history=(head[0], str(head[1]).lower()),
        files={path.name: _member(path) for path in sorted(copies.iterdir()) if path.name in MEMBERS},
    )


def _member(path: Path) -> Member:
    with path.open("rb") as file:
        return Member(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _write(partial: Path, copies: Path, manifest: Manifest) -> None:
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            content = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
            archive.addfile(_entry(MANIFEST, len(content), manifest), io.BytesIO(content))
            for name, member in manifest.files.items():
                with (copies / name).open("rb") as source:
                    archive.addfile(_entry(name, member.size, manifest), source)
        file.flush()
        os.fsync(file.fileno())


def _entry(name: str, size: int, manifest: Manifest) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o600, int(manifest.made_at.timestamp())
    return entry


# ---------------------------------------------------------------- restore


def restore(config: Config, file: Path, *, replace: bool = False, master: str | None = None, actor: str = "") -> Restored:
    """Put a backup in the place of the state folder's databases, and mark it: nothing is sent before the biller was asked.

    With `replace` a ledger that is there is put aside, never deleted. `master` is a reference to the master key of the backup's
    time, where it was another. Raises LedgerError for a damaged backup or a ledger in the way, LedgerBusy while another
    ptbridge runs or listens here, ConfigError for the key.
    """
    state = config.state
    if not file.exists():
        raise LedgerError(f"{file}: there is no such file. Nothing was restored.")
    with nobody_else(state):
        unfinished = finish(state)
        if (state / LEDGER_FILE).exists() and not replace and not unfinished:
            raise LedgerError(
                f"{state / LEDGER_FILE} is there. A backup knows less than it does; with --replace it is put aside and kept."
            )
        with workshop(state) as ready:
            manifest = _read(file, ready)
            key = _key_of_backup(config, ready, manifest, master)
            _prepare(ready, manifest, key, actor or getpass.getuser(), last_run(config))
            aside = put_in_place(state, ready)
    return Restored(manifest=manifest, aside=aside)


def _read(file: Path, ready: Path) -> Manifest:
    """Unpack a backup's files, each held against the manifest. Names outside our own are refused."""
    try:
        with tarfile.open(file, mode="r:") as archive:
            manifest = _manifest(archive)
            for name, member in manifest.files.items():
                found = archive.getmember(name)
                source = archive.extractfile(found)
                if name not in MEMBERS or not found.isreg() or source is None or found.size != member.size:
                    raise LedgerError(f"{file}: {name} is not what the manifest says. Take another backup.")
                _unpack(source, ready / name)
                if _member(ready / name) != member:
                    raise LedgerError(f"{file}: {name} is damaged. Take another backup.")
    except (tarfile.TarError, KeyError, EOFError):
        raise LedgerError(f"{file}: not a ptbridge backup, or damaged. Take another one.") from None
    except OSError as error:
        raise LedgerError(f"{file}: {error.strerror}. Nothing was restored.") from None
    if LEDGER_FILE not in manifest.files:
        raise LedgerError(f"{file}: holds no ledger. Take another backup.")
    return manifest


def _manifest(archive: tarfile.TarFile) -> Manifest:
    found = archive.getmember(MANIFEST)
    source = archive.extractfile(found)
    if source is None or found.size > _LARGEST_MANIFEST:
        raise KeyError(MANIFEST)
    try:
        manifest = msgspec.json.decode(source.read(), type=Manifest)
    except msgspec.MsgspecError:
        raise KeyError(MANIFEST) from None
    if manifest.format != _FORMAT:
        raise LedgerError(f"the backup has format {manifest.format}, of a newer ptbridge. Use that one.")
    return manifest


def _unpack(source: IO[bytes], target: Path) -> None:
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        shutil.copyfileobj(source, file, _PIECE)
        file.flush()
        os.fsync(file.fileno())


def _key_of_backup(config: Config, ready: Path, manifest: Manifest, master: str | None) -> bytes | None:
    """The data key of the unpacked databases, with `keys.json` brought to the master key of today."""
    today = config.settings.encryption
    if not manifest.encrypted:
        return None if today is None else _encrypt(config, ready, manifest)
    if today is None:
        raise ConfigError(
            "the backup is encrypted. Name its key under encryption.key in ptbridge.yaml.", where=str(config.folder)
        )
    keys = ready / at_rest.KEYS_FILE
    if not keys.exists():
        raise LedgerError("the backup is encrypted and holds no keys.json. Take another backup.")
    key = at_rest.unwrap(at_rest.read(keys), at_rest.master_key(master or today.key, base=config.folder))
    at_rest.store(keys, at_rest.wrap(key, at_rest.master_key(today.key, base=config.folder)), replace=True)
    return key


def _encrypt(config: Config, ready: Path, manifest: Manifest) -> bytes:
    """A plain backup into a folder that encrypts: the copies are encrypted before they are put in place."""
    assert config.settings.encryption is not None
    key = at_rest.new_data_key()
    at_rest.store(
        ready / at_rest.KEYS_FILE,
        at_rest.wrap(key, at_rest.master_key(config.settings.encryption.key, base=config.folder)),
        replace=True,
    )
    for name in manifest.files:
        recode_database(ready / name, None, key)
    return key


def _prepare(ready: Path, manifest: Manifest, key: bytes | None, actor: str, runs_to: int) -> None:
    """Bring the schema up, read the file once, and write the mark that keeps everything in until the biller was asked.

    `runs_to`: the highest run number used here, from which the restored ledger counts on.
    """
    connection = ledger_database.open_file(ready / LEDGER_FILE, key, write=True)
    ledger = Ledger.of(connection, ready)
    try:
        if problems := ledger.integrity():
            raise LedgerError(f"the backup's ledger is not sound: {problems[0]}. Take another backup.")
        ledger.restored.mark(manifest.made_at, actor, runs_to)
    finally:
        ledger.close()
    if (ready / INBOX_FILE).exists():
        inbox_database.open_file(ready / INBOX_FILE, key, write=True).close()


def as_data(manifest: Manifest) -> dict[str, Any]:
    """A manifest for `--json`."""
    data: dict[str, Any] = msgspec.to_builtins(manifest)
    return data
