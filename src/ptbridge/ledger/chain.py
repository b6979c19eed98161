"""The hash chain of the history (contract S8): each row's digest covers the row and the digest before it.

An edited, inserted, removed or reordered row breaks it; a cut-off end is found by `history_head`, which counts, and by a
digest that was noted elsewhere (each run's log line and each backup hold one).
"""

from __future__ import annotations

import hashlib

import apsw
import msgspec

START = bytes(32)
_encode = msgspec.json.Encoder().encode

Row = tuple["apsw.SQLiteValue", ...]  # seq, at, run_id, clinic, entity, entity_id, event, detail, actor


def link(before: bytes, row: Row) -> bytes:
    """The digest of a row: SHA-256 over the digest before it and the row as a JSON array."""
    return hashlib.sha256(before + _encode(row)).digest()


class Chain:
    """Rows in order, each with the digest that ends the chain so far."""

    def __init__(self) -> None:
        self.digest = START

    def next_digest(self, *row: apsw.SQLiteValue) -> bytes:
        """The digest after one more row (also SQL's `chained`, by which a migration brings an older history up)."""
        self.digest = link(self.digest, row)
        return self.digest
