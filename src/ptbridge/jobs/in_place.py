"""Putting other databases in the place of a state folder's own: all of them or none, whenever the power goes.

The plan is a file, `restore-unfinished`. While it is there neither database is opened, and `finish` can go on from any point.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ptbridge.inbox import INBOX_FILE
from ptbridge.inbox import database as inbox_database
from ptbridge.ledger import database as ledger_database
from ptbridge.specs import at_rest

LEDGER_FILE = ledger_database.FILE_NAME
MEMBERS = (LEDGER_FILE, INBOX_FILE, at_rest.KEYS_FILE)


class _Plan(msgspec.Struct, kw_only=True):
    """The folders, below the state folder, where the new files wait and where the present ones go; the names of the new."""

    ready: str
    aside: str
    files: tuple[str, ...]


@contextmanager
def nobody_else(state: Path) -> Iterator[None]:
    """Every lock of a state folder. Raises LedgerBusy when a run, a listener or a folder watcher has one."""
    ledger_database.prepare_folder(state)
    with ExitStack() as held:
        held.callback(ledger_database.WriterLock(state).release)
        for name, what in ((inbox_database.LISTENER_LOCK, "listens"), (inbox_database.FILES_LOCK, "takes files")):
            held.callback(inbox_database.Lock(state / name, what).release)
        yield


@contextmanager
def workshop(state: Path) -> Iterator[Path]:
    """A private folder in which new files are made ready; removed afterwards, unless `finish` still needs it."""
    ready = state / f"ready-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    ready.mkdir(mode=0o700)
    try:
        yield ready
    finally:
        if not (state / at_rest.UNFINISHED_RESTORE).exists():
            remove(ready)


def put_in_place(state: Path, ready: Path) -> Path | None:
    """Move everything in `ready` to its place. The folder in which what was there before is kept; None when nothing was."""
    aside = state / f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    plan = _Plan(ready=ready.name, aside=aside.name, files=tuple(name for name in MEMBERS if (ready / name).exists()))
    partial = state / f"{at_rest.UNFINISHED_RESTORE}.part"
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(plan))
        file.flush()
        os.fsync(file.fileno())
    partial.rename(state / at_rest.UNFINISHED_RESTORE)
    sync_folder(state)
    finish(state)
    return aside if aside.exists() else None


def finish(state: Path) -> bool:
    """Go on with what `put_in_place` began, wherever it stopped. False when nothing was begun."""
    marker = state / at_rest.UNFINISHED_RESTORE
    if not marker.exists():
        return False
    plan = msgspec.json.decode(marker.read_bytes(), type=_Plan)
    ready, aside = state / plan.ready, state / plan.aside
    for name in MEMBERS:
        if name in plan.files and not (ready / name).exists():
            continue  # it is in its place already
        for old in sorted(state.glob(f"{name}*")):  # a database, its WAL and its index of it
            aside.mkdir(mode=0o700, exist_ok=True)
            old.rename(aside / old.name)
        if name in plan.files:
            (ready / name).rename(state / name)
    sync_folder(state)
    marker.unlink()
    sync_folder(state)
    remove(ready)
    return True


def remove(folder: Path) -> None:
    """Remove a folder of files, if it is there."""
    if folder.exists():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
