"""What a loader makes of one text: keys and records ready to be packed, and what it counted on the way."""

from __future__ import annotations

import csv
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ptbridge.errors import ConfigError
from ptbridge.policy.reference.packed import key
from ptbridge.policy.reference.sources import Text

CODE = re.compile(r"[0-9A-Z]{5}")


@dataclass(slots=True)
class Table:
    """Rows of one kind under construction. `counts` are rows read, kept and left out, by reason."""

    kind: str
    format: str
    keys: list[int] = field(default_factory=list)
    records: list[tuple[object, ...]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, code: str, *record: object) -> None:
        """One row under its code."""
        self.keys.append(key(code))
        self.records.append(record)

    def sorted(self) -> tuple[list[int], bytes]:
        """Keys in ascending order and their records as bytes."""
        packer = struct.Struct(self.format)
        rows = sorted((key, packer.pack(*record)) for key, record in zip(self.keys, self.records, strict=True))
        return [key for key, _ in rows], b"".join(record for _, record in rows)


def rows_of(lines: Iterable[str]) -> Iterator[list[str]]:
    """Rows of a comma- or tab-separated text, told by its first 20 lines."""
    lines = iter(lines)
    first = [line for _, line in zip(range(20), lines, strict=False)]
    tabs, commas = sum(line.count("\t") for line in first), sum(line.count(",") for line in first)
    return csv.reader(_chain(first, lines), delimiter="\t" if tabs > commas else ",")


def _chain(first: Sequence[str], rest: Iterator[str]) -> Iterator[str]:
    yield from first
    yield from rest


def no_header(text: Text, expected: str) -> ConfigError:
    """The refusal of a text whose header is not what its loader knows."""
    return ConfigError(
        f"the header was not found in the first lines; expected columns: {expected}. If CMS changed the layout, report it;"
        " nothing was loaded.",
        where=text.name,
    )


def bad_row(text: Text, line: int, problem: str) -> ConfigError:
    """The refusal of a text with a row that cannot be read: a table with a hole would pass what it should stop."""
    return ConfigError(f"{problem}. Download the file again; nothing was loaded.", where=f"{text.name}:{line}")
