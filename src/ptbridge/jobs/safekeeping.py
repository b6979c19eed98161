"""Verify, export, encrypt: what a person does to be sure of a ledger, apart from running it."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ptbridge.errors import ConfigError, LedgerError
from ptbridge.inbox import INBOX_FILE
from ptbridge.inbox import verify as verify_inbox
from ptbridge.jobs.in_place import LEDGER_FILE, finish, nobody_else, put_in_place, remove, workshop
from ptbridge.jobs.standing import clinic_names
from ptbridge.ledger import Checked, Ledger
from ptbridge.ledger.copies import copy_database, recode_database
from ptbridge.plan import key_of
from ptbridge.specs import at_rest
from ptbridge.specs.config import Config
from ptbridge.specs.folder import FILE_NAME

Checks = Callable[[Checked], None]


def verify(config: Config, *, noted: tuple[int, str] | None = None, told: Checks | None = None) -> dict[str, Any]:
    """Run every check on the ledger and on the inbox; `told` hears of each as it ends. Changes nothing.

    `noted`: an end of the history (number, hex digest) that was written down elsewhere. The answer's `history` is today's.
    """
    checks: list[Checked] = []
    with Ledger.open(config.state, write=False) as ledger:
        seq, digest = ledger.history.head()
        for checked in ledger.verify(key_of, noted):
            checks.append(checked)
            if told:
                told(checked)
    if (config.state / INBOX_FILE).exists():
        checks.append(_inbox(config))
        if told:
            told(checks[-1])
    return {"sound": not any(checked.problems for checked in checks), "history": [seq, digest.hex()], "checks": checks}


def _inbox(config: Config) -> Checked:
    rows, problems = verify_inbox(config.state)
    return Checked(check="inbox", rows=rows, problems=tuple(problems))


def export(config: Config, clinic: str | None = None, *, phi: bool = False, actor: str = "") -> Iterator[dict[str, Any]]:
    """Every documented line once, as a dict; streams. With `phi`, that somebody asked for patient data stays in the history."""
    name = clinic_names(config, clinic)[0] if clinic else None
    if phi:
        with Ledger.open(config.state) as ledger, ledger.transaction():
            ledger.history.add(name or "", "ledger", 0, "exported-with-phi", "", actor or getpass.getuser())
    with Ledger.open(config.state, write=False) as ledger:
        yield from ledger.export(phi=phi).rows(name)


# ---------------------------------------------------------------- encryption


def encrypt(config: Config, new_key: Path | None = None) -> dict[str, Any]:
    """Encrypt the state folder's databases under the key that ptbridge.yaml names, which `new_key` makes first.

    Copies are encrypted and then put in the place of the plain files, whose bytes the file system may keep for a while.
    Raises LedgerBusy while another ptbridge runs or listens here, ConfigError for the key.
    """
    if new_key is not None:
        _write_key(new_key)
    spec = config.settings.encryption
    if spec is None:
        raise ConfigError(_how_to_name(config, new_key), where=str(config.folder / FILE_NAME))
    if (config.state / at_rest.KEYS_FILE).exists():
        raise ConfigError("the state folder is encrypted already. `ptbridge rotate-key` changes its keys.")
    return _recode(config, None, at_rest.new_data_key())


def rotate_key(config: Config, *, old: str | None = None, data: bool = False) -> dict[str, Any]:
    """Bring the data to the master key that ptbridge.yaml names. `old` is a reference to the one before.

    Rewrites the wrapped key only, beside running processes. With `data`, also copies the databases under a new data key.
    """
    spec = config.settings.encryption
    keys = config.state / at_rest.KEYS_FILE
    if spec is None or not keys.exists():
        raise ConfigError(
            "the state folder is not encrypted. `ptbridge encrypt` does that.", where=str(config.folder / FILE_NAME)
        )
    before = at_rest.unwrap(at_rest.read(keys), at_rest.master_key(old or spec.key, base=config.folder))
    if data:
        at_rest.store(keys, at_rest.wrap(before, at_rest.master_key(spec.key, base=config.folder)), replace=True)
        return _recode(config, before, at_rest.new_data_key())
    master = at_rest.master_key(spec.key, base=config.folder)
    at_rest.store(keys, at_rest.wrap(before, master), replace=True)
    with Ledger.open(config.state, write=False):  # it opens under the new one, or this raises
        return {"master": at_rest.key_name(master), "files": []}


def _recode(config: Config, old: bytes | None, new: bytes) -> dict[str, Any]:
    """Copies under the new key, put in place together with their wrapped key; a crash leaves one state or the other."""
    assert config.settings.encryption is not None
    state, master = config.state, at_rest.master_key(config.settings.encryption.key, base=config.folder)
    with nobody_else(state):
        finish(state)
        with workshop(state) as ready:
            files = [name for name in (LEDGER_FILE, INBOX_FILE) if (state / name).exists()]
            for name in files:
                copy_database(state / name, ready / name, old)
                recode_database(ready / name, old, new)
            at_rest.store(ready / at_rest.KEYS_FILE, at_rest.wrap(new, master), replace=True)
            aside = put_in_place(state, ready)
        if aside is not None:
            remove(aside)
    return {"master": at_rest.key_name(master), "files": files}


def _write_key(path: Path) -> None:
    """A fresh master key in a file of its own, readable by its owner only. One that is there is never written over."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} is there already; a key is never written over. Use it, or name another file.") from None
    except OSError as error:
        raise LedgerError(f"{path}: {error.strerror}. No key was made.") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(at_rest.new_master_key() + "\n")
        file.flush()
        os.fsync(file.fileno())


def _how_to_name(config: Config, new_key: Path | None) -> str:
    where = new_key.expanduser().absolute() if new_key else Path("/path/to/ptbridge.key")
    return (
        "encryption.key is not set. Write this into it, keep a copy of the key away from this machine, and run "
        f'`ptbridge encrypt` again:\nencryption:\n  key: "file:{where}"'
    )
