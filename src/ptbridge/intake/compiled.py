"""What a mapping becomes once compiled: something that reads records as visits, one kind for each standard."""

from __future__ import annotations

from typing import Protocol
from zoneinfo import ZoneInfo

from ptbridge.model import SourceRecord, Visit
from ptbridge.specs.mapping import Mapping


class CompiledMapping(Protocol):
    """A mapping made ready once per run. `normalize.py` has FHIR's, `hl7/` that of HL7 v2."""

    mapping: Mapping

    def normalize(self, record: SourceRecord, time_zone: ZoneInfo) -> Visit:
        """One record as a Visit. Raises RecordError when no visit can be made of it at all."""
