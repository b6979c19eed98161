"""Where the tests put their files (in memory, where the machine has room for them), and retries that do not wait."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import pytest

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 4 << 30  # several times what a whole run leaves behind


def pytest_configure() -> None:
    """Test folders in memory: a third of a run was spent waiting for a disk to sync what nobody will read again.

    What survives a power cut is asked where it can be answered: by strace, and by a file system that forgets (`make chaos`).
    """
    if _MEMORY.is_dir() and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))


@pytest.hookimpl(optionalhook=True)  # pytest-xdist asks it
def pytest_xdist_auto_num_workers() -> int | None:
    """Half as many again as there are cores, of `-n auto`: many tests wait for another process, a retry or a stop."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + (cores + 1) // 2


@pytest.fixture
def retried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what becomes of a charge or a question. When it is asked again, the unit tests ask, in virtual time."""
    from ptbridge import delivery
    from ptbridge.wire import http

    soon = partial(delivery.RetryPolicy, first_delay_seconds=0.01, max_delay_seconds=0.05, extra_calls_reserve=1e6)
    monkeypatch.setattr("ptbridge.jobs.run.RetryPolicy", soon)
    monkeypatch.setattr(http, "RetryPolicy", partial(http.RetryPolicy, first_backoff_seconds=0.01, max_backoff_seconds=0.05))
