"""The log of the state folder: one JSON object a line, allow-listed fields, no patient data, mode 0600."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path


class _OneLine(logging.Formatter):
    """Time, level, logger, message; of an exception the type and the place only, never its text."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[0]:
            line["exception"] = record.exc_info[0].__name__
        return json.dumps(line)


@contextmanager
def log_to(folder: Path) -> Iterator[Path]:
    """Write ptbridge's own log to `folder`, one file a UTC day; other libraries' loggers are left out."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"ptbridge-{datetime.now(UTC):%Y%m%d}.log"
    os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_OneLine())
    logger = logging.getLogger("ptbridge")
    before, logger.propagate = (logger.level, logger.propagate), False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield path
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(before[0])
        logger.propagate = before[1]
