"""What is loaded: `reference/index.json`, the one file whose replacement makes a load happen, all of it or nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from ptbridge.errors import ConfigError
from ptbridge.policy.reference.kinds import KINDS, Period

INDEX = "index.json"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One loaded edition. `file` lies beside the index; `sources` are the official files' names with their SHA-256."""

    kind: str
    period: Period
    file: str
    bytes: int
    sha256: str
    sources: tuple[tuple[str, str], ...]
    texts: tuple[str, ...]
    counts: dict[str, int] = field(default_factory=dict)
    loaded_at: str = ""

    @property
    def cited(self) -> str:
        """The edition as a finding cites it: what, which period, which file."""
        more = f" and {len(self.texts) - 1} more" if len(self.texts) > 1 else ""
        return f"{KINDS[self.kind].title}, {self.period.name} ({self.texts[0]}{more})"


def read_index(folder: Path) -> tuple[Entry, ...]:
    """The loaded editions, none when nothing was ever loaded. Raises ConfigError when the index cannot be read."""
    path = folder / INDEX
    try:
        written = json.loads(path.read_bytes())
        if written["version"] != VERSION:
            raise ValueError("version")
        return tuple(_entry(item) for item in written["editions"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ConfigError(
            f"cannot be read ({type(problem).__name__}). Move the folder away and load the official files again.",
            where=str(path),
        ) from None


def index_bytes(entries: Iterable[Entry]) -> bytes:
    """The index as written: sorted, so that the same editions give the same bytes."""
    rows = sorted((_plain(entry) for entry in entries), key=lambda row: (row["kind"], row["first"]))
    return json.dumps({"version": VERSION, "editions": rows}, indent=1, sort_keys=True).encode() + b"\n"


def _plain(entry: Entry) -> dict[str, Any]:
    row = asdict(entry)
    period = row.pop("period")
    return row | {"period": period["name"], "first": period["first"].isoformat(), "last": period["last"].isoformat()}


def _entry(item: dict[str, Any]) -> Entry:
    period = Period(item["period"], date.fromisoformat(item["first"]), date.fromisoformat(item["last"]))
    if item["kind"] not in KINDS:
        raise ValueError("kind")
    return Entry(
        kind=item["kind"],
        period=period,
        file=Path(item["file"]).name,
        bytes=item["bytes"],
        sha256=item["sha256"],
        sources=tuple((name, digest) for name, digest in item["sources"]),
        texts=tuple(item["texts"]),
        counts=dict(item["counts"]),
        loaded_at=item["loaded_at"],
    )
