"""The machine under ptbridge: a full disk, a clock that jumps, two runs at once, an old backup, an older ledger."""

from __future__ import annotations

import gzip
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from ptbridge_sandbox.biller_faults import Faults
from ptbridge_sandbox.maker import clinic_day

from tests.chaos.ground import BUSY, DONE, HELD, ORDERLY, STOPPED, Ground, Skipped
from tests.chaos.kills import cannot_trace, traced
from tests.world import DAY

FIRST_SCHEMA = Path(__file__).parents[1] / "contract" / "ledger_v1.sqlite.gz"

_FAKETIME = [*sorted(Path("/usr").glob("lib*/*/faketime/libfaketime.so.1")), Path("/usr/lib64/faketime/libfaketime.so.1")]


def disk_full_and_back(ground: Ground) -> None:
    """The state folder's disk fills up in the middle of a run, and has room again later (D23)."""
    state = ground.world.folder / "state"
    with small_disk(state, kilobytes=ground.dice.choice((256, 400, 700))) as grow:
        for _ in range(2):
            code = ground.run("sync")
            ground.note(f"sync on a small disk: exit code {code}")
            assert code in (0, 3, 4, 8), f"exit code {code}: {ground.said()}"
            ground.edit(3)
        grow()
        ground.calm()
        _keep(state)


def files_that_may_not_grow(ground: Ground) -> None:
    """The same with a limit on the size of a file, which needs no root."""
    size = ground.dice.choice((200_000, 300_000, 450_000))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    code = ground.run("sync", preexec_fn=limit)
    ground.note(f"no file above {size} bytes: exit code {code}")
    assert code in (0, 3, 4, 8), f"exit code {code}: {ground.said()}"
    ground.edit(3)


def the_clock_jumps(ground: Ground) -> None:
    """Three days forward, two hours back, in the middle of runs (D26)."""
    if cannot_move_the_clock():
        raise Skipped(cannot_move_the_clock())
    stamp = ground.folder / "clock"
    ground.environment |= moved_clock(stamp)
    ground.world.biller.faults = Faults(lose_answer=0.1, busy=0.1, answer_delay_seconds=0.03, seed=ground.dice.getrandbits(30))
    for _ in range(3):
        stamp.write_text("+0")
        with ground.start("sync") as process:
            moment = ground.some_moment(process)
            jump = ground.dice.choice(("+3d", "-2h", "-3d", "+25h"))
            stamp.write_text(jump)
            ground.note(f"the clock went {jump} {moment}: exit code {ground.end(process)}")
        ground.edit(2)


def moved_clock(stamp: Path) -> dict[str, str]:
    """What a process needs in its environment to see the clock that the file `stamp` tells."""
    library = next((str(path) for path in _FAKETIME if path.exists()), "")
    return {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(stamp),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@cache
def cannot_move_the_clock() -> str:
    """Why no process here can be shown another time, found out by trying; empty when one can."""
    if not any(path.exists() for path in _FAKETIME):
        return "needs libfaketime: install it (Debian: apt-get install faketime)"
    with tempfile.TemporaryDirectory() as folder:
        stamp = Path(folder) / "clock"
        stamp.write_text("+3d")
        told = subprocess.run(["date", "+%s"], check=False, capture_output=True, env={**os.environ, **moved_clock(stamp)})
    moved = told.stdout.strip().isdigit() and int(told.stdout) - time.time() > 200_000
    return "" if moved else "needs LD_PRELOAD, which this machine does not let libfaketime use"


def several_at_once(ground: Ground) -> None:
    """A night job that overruns into the next, and a person's: one runs, the others are refused at once (D24)."""
    processes = [ground.start("sync") for _ in range(3)]  # also who makes the ledger
    codes = [ground.end(process) for process in processes]
    ground.note(f"three at once: exit codes {codes}")
    assert set(codes) <= {DONE, HELD, BUSY} and codes != [BUSY] * 3, f"exit codes {codes}"
    for _ in range(2):
        ground.edit(3)
        with ground.start("sync") as first:
            ground.at_work(first)
            first.send_signal(signal.SIGSTOP)  # it overruns, however fast this machine is
            codes = [ground.end(process) for process in [ground.start("sync"), ground.start("sync")]]
            first.send_signal(signal.SIGCONT)
            ground.note(f"two beside one that runs: exit codes {codes}, and it {ground.end(first)}")
        assert codes == [BUSY, BUSY], f"exit codes {codes}"


def an_old_backup_restored(ground: Ground) -> None:
    """Half is sent, a backup made, the rest is sent, with edits; the machine dies, the backup comes back, and the runs that
    settle it with the biller are stopped and killed in the middle (D25, D29)."""
    backup = ground.folder / "backup"
    ground.world.biller.faults = Faults(answer_delay_seconds=0.02)
    with ground.start("sync") as process:
        ground.at_work(process, ground.dice.randint(3, 20))
        ground.note(f"a first sync, stopped: exit code {ground.end(process, signal.SIGTERM)}")
    assert ground.run("backup", str(backup)) == 0, ground.said()
    unknown = ground.added
    ground.world.biller.faults = Faults()
    for _ in range(2):
        ground.edit(4, sparing=unknown)
        ground.note(f"a sync after the backup: exit code {ground.run('sync')}")
    for path in (ground.world.folder / "state").iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert ground.run("restore", str(backup)) == 0, ground.said()
    ground.note("restored")
    for _ in range(3):
        ground.edit(3, sparing=unknown)
        _settle_and_stop(ground)


def _settle_and_stop(ground: Ground) -> None:
    """A run over a restored ledger that does not end by itself: stopped, killed, or killed at a disk's sync."""
    if not cannot_trace() and ground.dice.random() < 0.3:
        number = ground.dice.randint(1, 15)
        code = ground.run("sync", before=traced("fdatasync", f"signal=KILL:when={number}"))
        ground.note(f"killed at fdatasync number {number}: {code}")
        return
    with ground.start("sync") as process:
        moment, number = ground.some_moment(process, requests=20), ground.dice.choice((signal.SIGTERM, signal.SIGKILL))
        code = ground.end(process, number)
    ground.note(f"{number.name} {moment}: exit code {code}")
    assert code in (*ORDERLY, STOPPED, -number), f"exit code {code}: {ground.said()}"


def an_older_ledger_is_brought_up(ground: Ground) -> None:
    """A state folder of the first schema, with items queued and items being sent, upgraded by runs that are killed (D28)."""
    store = ground.world.store
    for made in clinic_day(DAY):
        if store.get(made["resourceType"], made["id"]) is None:
            store.add(made)
    state = ground.world.folder / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    (state / "ledger.sqlite").write_bytes(gzip.decompress(FIRST_SCHEMA.read_bytes()))
    for _ in range(4):
        if not cannot_trace() and ground.dice.random() < 0.8:
            call = ground.dice.choice(("fdatasync", "pwrite64"))
            number = ground.dice.randint(1, 12 if call == "fdatasync" else 120)
            code = ground.run("sync", before=traced(call, f"signal=KILL:when={number}"))
            ground.note(f"killed at {call} number {number}: {code}")
        else:
            with ground.start("sync") as process:
                moment = ground.some_moment(process)
                ground.note(f"killed {moment}: {ground.end(process, signal.SIGKILL)}")


# ---------------------------------------------------------------- disks


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Callable[[], None]]:
    """A tmpfs of so many kilobytes at `folder`; what is yielded makes it large."""
    if os.geteuid() != 0:
        raise Skipped("needs root, to mount a small disk; files_that_may_not_grow is played without")
    folder.mkdir(mode=0o700, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=700", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if done.returncode:
        raise Skipped("this machine lets nobody mount a disk")

    def grow() -> None:
        subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)

    try:
        yield grow
    finally:
        subprocess.run(["umount", str(folder)], check=False, capture_output=True)


def _keep(state: Path) -> None:
    """Copy a mounted state folder, so that it is still there when the disk is not."""
    copy = state.with_name("kept")
    shutil.copytree(state, copy)
    subprocess.run(["umount", str(state)], check=True)
    shutil.rmtree(state)
    copy.rename(state)
