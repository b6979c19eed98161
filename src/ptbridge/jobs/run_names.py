"""What a run's number names: its line in the log and its report's page. Neither is ever written over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from ptbridge.ledger.run_numbers import highest_run
from ptbridge.specs.config import Config

ENDED = "%s %d ended; the history ends with %d:%s"
_IN_THE_LOG = re.compile(r'"run (\d+) ended; ')
_OF_A_PAGE = re.compile(r"-(\d{6,})(?:-dry-run)?(?:\.\d+)?\.html$")


def free_page(reports: Path, clinic: str, run_id: int, *, dry_run: bool) -> Path:
    """Where a run's page goes: a name that no page has. A dry run's number is the next real run's, so several can have it."""
    stem = f"{clinic}-{run_id:06d}{'-dry-run' if dry_run else ''}"
    names = (f"{stem}{'' if number == 1 else f'.{number}'}.html" for number in count(1))
    return next(path for name in names if not (path := reports / name).exists())


def last_run(config: Config) -> int:
    """The highest run number ever used in this state folder, as its ledger, its reports and its logs tell; 0 for none."""
    return max((highest_run(config.state), *_in_reports(config.reports), *_in_logs(config.logs)))


def _in_reports(folder: Path) -> Iterator[int]:
    return (int(found[1]) for path in folder.glob("*.html") if (found := _OF_A_PAGE.search(path.name)))


def _in_logs(folder: Path) -> Iterator[int]:
    for path in folder.glob("ptbridge-*.log"):
        with path.open(encoding="utf-8", errors="replace") as lines:
            yield from (int(found[1]) for line in lines if (found := _IN_THE_LOG.search(line)))
