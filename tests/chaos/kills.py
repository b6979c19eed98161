"""Killed: at any moment, and at the n-th time that it makes a disk durable, writes, sends or connects."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from functools import cache

from ptbridge_sandbox.biller_faults import Faults

from tests.chaos.ground import Ground, Skipped

# How often an undisturbed first run does each, about; later times are simply not reached. Every run does each so often.
SYSTEM_CALLS = {"fdatasync": 35, "pwrite64": 700, "sendto": 45, "connect": 20}
SURELY = 6


def kill_at_any_moment(ground: Ground) -> None:
    """`kill -9`, again and again, while the EMR changes and the biller is busy, loses answers, fails after it took a charge."""
    for _ in range(6):
        ground.world.biller.faults = Faults(
            busy=0.05, lose_answer=0.1, error_after_commit=0.05, answer_delay_seconds=0.02, seed=ground.dice.getrandbits(30)
        )
        with ground.start("sync") as process:
            if ground.dice.random() < 0.5:
                ground.at_work(process)
                ground.edit(2)  # in the middle of its pull
            moment = ground.some_moment(process)
            ground.note(f"killed {moment}: {ground.end(process, signal.SIGKILL)}")
        ground.edit(2)


def kill_at_a_system_call(ground: Ground) -> None:
    """strace kills the process in the middle of the n-th call of one kind."""
    _strace()
    for turn in range(3):
        call = ground.dice.choice(list(SYSTEM_CALLS))
        number = ground.dice.randint(1, SYSTEM_CALLS[call] if turn else SURELY)
        code = ground.run("sync", before=traced(call, f"signal=KILL:when={number}"))
        ground.note(f"killed at {call} number {number}: {code}")
        assert turn or code == -signal.SIGKILL, f"nothing was killed at {call} number {number}: exit code {code}"
        ground.edit(2)


def a_system_call_fails(ground: Ground) -> None:
    """The disk says EIO to a sync or ENOSPC to a write, once or from then on: ptbridge stops in order, or goes on."""
    _strace()
    for _ in range(3):
        call, error = ground.dice.choice(
            (("fdatasync", "EIO"), ("pwrite64", "ENOSPC"), ("pwrite64", "EIO"), ("connect", "ETIMEDOUT"))
        )
        number = ground.dice.randint(1, SYSTEM_CALLS[call])
        code = ground.run("sync", before=traced(call, f"error={error}:when={number}{ground.dice.choice(('', '+'))}"))
        ground.note(f"{call} number {number} failed with {error}: exit code {code}")
        assert code in (0, 3, 4, 5, 8), f"exit code {code}: {ground.said()}"
        ground.edit(2)


def traced(call: str, inject: str) -> list[str]:
    """The words that put a command under strace, with one fault. No --seccomp-bpf: strace 6.1 sends no signal under it."""
    return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{inject}"]


@cache
def cannot_trace() -> str:
    """Why strace cannot break a process here, found out by breaking one; empty when it can."""
    if shutil.which("strace") is None:
        return "needs strace: install it (Debian: apt-get install strace)"
    words = "import os; os.write(1, b'it'); os.write(1, b'lives')"
    done = subprocess.run(
        [*traced("write", "signal=KILL:when=1"), sys.executable, "-c", words], check=False, capture_output=True
    )
    if done.returncode != -signal.SIGKILL:
        return "needs ptrace, which this machine forbids to strace (in a container: --cap-add SYS_PTRACE)"
    return ""


def _strace() -> None:
    if cannot_trace():
        raise Skipped(cannot_trace())
