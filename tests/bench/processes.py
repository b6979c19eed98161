"""Processes to measure: a sandbox server for a while, and one command with its time and its peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.world import TOKEN

POLL_SECONDS = 0.05


@contextmanager
def server(module: str, *arguments: str) -> Iterator[str]:
    """A sandbox server as a process of its own; gives its address, ends it on the way out."""
    environment = {**os.environ, "PTBRIDGE_SANDBOX_TOKEN": TOKEN}
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("ready "), f"{module} did not start"
        yield line.split()[1]
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


def biller_summary(address: str) -> dict[str, Any]:
    """What the sandbox biller itself counts."""
    request = urllib.request.Request(f"{address}/_sandbox/summary", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One command that ended: exit code, wall and CPU seconds, peak resident memory in MB, its standard output."""

    code: int
    wall_seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str


def measured(command: Sequence[str], folder: Path) -> Ended:
    """Run a command to its end; its output goes to a file in `folder`, so that no pipe slows it.

    The peak is the kernel's high-water mark of the process itself (VmHWM): `ru_maxrss` would count this process's memory
    too, which a child inherits until it has loaded its own program. Without /proc it is all there is.
    """
    path = folder / "output.json"
    started = time.perf_counter()
    with path.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        peak_kb = 0
        while True:
            peak_kb = max(peak_kb, _high_water_kb(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(POLL_SECONDS)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(
        code=process.returncode,
        wall_seconds=time.perf_counter() - started,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_mb=(peak_kb or usage.ru_maxrss) / 1024,
        output=path.read_text("utf-8"),
    )


def _high_water_kb(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text("ascii", errors="replace")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM:")), 0)
