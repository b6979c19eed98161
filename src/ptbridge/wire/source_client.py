"""SourceClient: what a connector's `pull` and `check` are handed. It knows the clinic and the EMR, and holds no secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import Any, cast

from ptbridge.errors import ConfigError
from ptbridge.ports import Inbox, KnownRecords
from ptbridge.wire.extract_profile import ExtractProfile
from ptbridge.wire.fhir import FhirClient

OptionValue = str | tuple[str, ...] | Mapping[str, str | tuple[str, ...]]


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClient:
    """One clinic's way to its EMR, for the length of one run.

    `options` are the connector's options from the clinic file, all of them text. `time_zone` is the clinic's: it decides
    the civil day of a visit. `since` bounds the first run (no cursor yet) by service date. `full_rescan` asks for the
    look-back re-scan now, whatever the cursor says of the last one. `recheck` names the visits (record keys) that the
    ledger holds within the look-back window: those that a re-scan does not meet again are asked for one by one, because a
    deleted visit vanishes from every search. `folder` is where relative file names in options start.
    `extract` is the file layout that the mapping declares, where it does. `known` is what the ledger already has of this
    source. In a `rehearsal` nothing outside the ledger may change: files stay where they are.
    `inbox` has the HL7 v2 messages that were received for this clinic, where there are any.
    `clock` is the seam for tests; no window of instants ever starts from it.
    """

    fhir: FhirClient
    clinic: str
    source: str
    time_zone: tzinfo
    options: Mapping[str, OptionValue] = field(default_factory=dict, repr=False)  # may list patients
    since: date | None = None
    full_rescan: bool = False
    recheck: tuple[str, ...] = field(default=(), repr=False)
    folder: Path | None = None
    extract: ExtractProfile | None = None
    known: KnownRecords | None = field(default=None, repr=False)
    rehearsal: bool = False
    inbox: Inbox | None = field(default=None, repr=False)
    clock: Callable[[], datetime] = _utc_now

    def now(self) -> datetime:
        """The local clock, with its zone: for `received_at` and for windows that are days wide."""
        return self.clock()


class _NoServer:
    """Whoever asks for a server is told what the clinic file lacks."""

    def __getattr__(self, name: str) -> Any:
        raise ConfigError("source.base_url is missing: this connector asks a server. Add it to the clinic file.")


def no_server() -> FhirClient:
    """What `SourceClient.fhir` is for a source that is no server. Any use of it raises ConfigError."""
    return cast(FhirClient, _NoServer())
