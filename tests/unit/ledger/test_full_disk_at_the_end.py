"""A disk that is full when the ledger is closed: what was done stands, and the next start looks through the file (D22, D23)."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptbridge.ledger import Ledger


@pytest.fixture
def no_file_may_grow() -> Iterator[None]:
    """The kernel refuses every further byte, as a full disk does."""
    before, heard = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, heard)


def test_D23_a_note_that_the_disk_does_not_take_fails_nothing(tmp_path: Path, no_file_may_grow: None) -> None:
    with Ledger.open(tmp_path):
        pass
    assert (tmp_path / "lock").stat().st_size
    with Ledger.open(tmp_path):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert (tmp_path / "lock").stat().st_size == 0, "nothing that the next start could trust"
    with Ledger.open(tmp_path) as ledger:
        assert dict(ledger.accounts.live("anyone")) == {}
