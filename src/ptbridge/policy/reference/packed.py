"""A look-up file that opens at once: sorted 64-bit keys, then records of one size, read through a memory map.

    b"PTBREF1\\n" | length of the header, 8 bytes | header, JSON padded to 8 | keys, 8 bytes each | records

Opening reads the header alone; a look-up is one binary search over the keys (C speed, about 21 steps in 2.6 million) and
touches two or three pages. A key may repeat: its records stand together, in ascending order of their bytes' fields.
"""

from __future__ import annotations

import json
import mmap
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptbridge.errors import ConfigError

MAGIC = b"PTBREF1\n"
AGAIN = "Load the official file again with ptbridge reference load."


def key(code: str) -> int:
    """A code of letters and digits (up to 11) as a number; codes of different length never collide."""
    return int("1" + code, 36)


def pack(keys: Sequence[int], records: bytes, record_format: str, about: Mapping[str, Any]) -> bytes:
    """The bytes of a file. `keys` ascend; `records` hold one `struct` record of `record_format` for each key."""
    count, size = len(keys), struct.calcsize(record_format)
    if len(records) != count * size:
        raise ValueError(f"{len(records)} bytes of records for {count} keys of {size}")
    about = {**about, "format": record_format, "count": count, "byte_order": sys.byteorder}
    header = json.dumps(about, sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return b"".join([MAGIC, len(header).to_bytes(8, "little"), header, array("Q", keys).tobytes(), records])


class PackedTable:
    """An open look-up file, or the same bytes in memory."""

    __slots__ = ("_keys", "_records", "_size", "_unpack", "about")

    def __init__(self, data: bytes | mmap.mmap, name: str) -> None:
        """Check the frame. Raises ConfigError that names the file when it is cut short or not one of ours."""
        self.about: dict[str, Any] = _header(data, name)
        record = struct.Struct(self.about["format"])
        start = 16 + int.from_bytes(data[8:16], "little")
        middle = start + 8 * self.about["count"]
        if len(data) != middle + record.size * self.about["count"]:
            raise ConfigError(f"the file is {len(data)} bytes long and its header says otherwise. {AGAIN}", where=name)
        view = memoryview(data)
        self._keys = view[start:middle].cast("Q")
        self._records = view[middle:]
        self._size, self._unpack = record.size, record.unpack_from

    @classmethod
    def open(cls, path: Path) -> PackedTable:
        """Map a file. Raises ConfigError when it is missing or damaged."""
        try:
            with path.open("rb") as file:
                return cls(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), path.name)
        except (OSError, ValueError) as problem:
            raise ConfigError(f"cannot be opened ({type(problem).__name__}). {AGAIN}", where=str(path)) from None

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: int) -> list[tuple[Any, ...]]:
        """The records under a key; an empty list when it is not in the file."""
        keys, found = self._keys, []
        at = bisect_left(keys, key)
        while at < len(keys) and keys[at] == key:
            found.append(self._unpack(self._records, at * self._size))
            at += 1
        return found


def _header(data: bytes | mmap.mmap, name: str) -> dict[str, Any]:
    try:
        if data[:8] != MAGIC:
            raise ValueError("magic")
        about = json.loads(data[16 : 16 + int.from_bytes(data[8:16], "little")])
        known = isinstance(about["format"], str) and isinstance(about["count"], int) and about["byte_order"] == sys.byteorder
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"this is not a look-up file of this version and machine. {AGAIN}", where=name) from None
    if not known:
        raise ConfigError(f"this look-up file was written on another kind of machine. {AGAIN}", where=name)
    return dict(about)
