"""What a source of files needs from the rest: the file layout that the mapping declares, and what the ledger has already."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from ptbridge import plugins
from ptbridge.ledger import Ledger
from ptbridge.model import SourceRecord
from ptbridge.specs.clinic import ClinicSpec
from ptbridge.specs.config import Config
from ptbridge.specs.extract import is_extract, profile_of
from ptbridge.specs.mapping_files import load_mapping
from ptbridge.wire.extract_profile import ExtractProfile


def extract_profile(config: Config, spec: ClinicSpec) -> ExtractProfile | None:
    """The layout of a clinic's extract, None when its connector reads none. Raises ConfigError."""
    info = plugins.connector(spec.source.connector).INFO
    if info.standard != "extract":
        return None
    mapping = load_mapping(config.mapping(spec) if spec.source.mapping else info.mapping)
    return profile_of(mapping) if is_extract(mapping) else None


@dataclass(frozen=True, slots=True)
class LedgerKnows:
    """`ports.KnownRecords` of one clinic's source, from the ledger."""

    ledger: Ledger
    clinic: str
    source: str

    def latest(self, record_key: str) -> SourceRecord | None:
        """The newest record of a visit as received."""
        return self.ledger.visits.latest(self.clinic, self.source, record_key)

    def between(self, first: date, last: date) -> tuple[str, ...]:
        """Visits that are not deleted, by service date."""
        return self.ledger.visits.keys_between(self.clinic, self.source, first.isoformat(), last.isoformat())

    def unread(self) -> tuple[str, ...]:
        """Quarantined records that could never be read."""
        return self.ledger.visits.keys_never_read(self.clinic, self.source)

    def sent_at(self, record_key: str) -> datetime | None:
        """When charges of a visit first were on their way to the biller."""
        return self.ledger.visits.first_sent(self.clinic, self.source, record_key)
