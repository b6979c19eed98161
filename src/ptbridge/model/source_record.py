"""A SourceRecord: one payload exactly as an EMR sent it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ptbridge.model.made_fast import made_fast


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """One visit's payload, untouched; its SHA-256 names it.

    `record_key` is the visit's identity at the source (for FHIR, the Encounter's logical id); content is not part of it.
    For FHIR the payload is a collection Bundle: the Encounter first, then what was joined to it, each resource's bytes
    as received. `document` is the parsed payload if the reader already had to parse it; it never says more than `payload`.
    """

    clinic: str
    source: str
    record_key: str
    media_type: str
    payload: bytes = field(repr=False)
    received_at: datetime
    version: str = ""  # the source's own version of the visit, when it gives one; opaque
    document: Any = field(default=None, repr=False, compare=False)

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of the payload."""
        return hashlib.sha256(self.payload).hexdigest()
