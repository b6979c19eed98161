"""Everything that a connector file may import: the shapes it fills, the client it is handed, and the FHIR walk.

A connector is one file in `connectors/` with `INFO`, `pull` and `check` (see `ptbridge.ports.Connector`). For an EMR that
speaks FHIR, declare its ways as a `Plan` and let `walk` and `describe` do the work:

    PLAN = Plan(notes=("The fee sheet is not in FHIR: …",))

    def pull(client: SourceClient, cursor: Mapping[str, str]) -> AsyncIterator[Pulled]:
        return walk(client, cursor, PLAN)

    async def check(client: SourceClient) -> list[str]:
        return await describe(client, PLAN)

For an EMR that sends HL7 v2, `walk_messages` and `describe_messages` read what `ptbridge listen` received.

For an EMR that exports files, `pull_extracts` and `describe_extracts` do the work: the columns are in the mapping.

For another kind of source, write `pull` as an async generator that yields `Pulled` batches:

- each visit is one `SourceRecord` with its payload as received; `source_record` makes one from FHIR entries;
- what cannot be read goes into `unreadable` with the reason, never out of sight;
- the new cursor stands on the last batch only, comes from the peer's clock, and the next poll starts `window_start` before it;
- a failure is raised, not retried: the wire has retried it already.

Joining: `Visits` joins by reference, else by patient, civil day and performer. `reference_key` says where a reference leads,
None where it leads nowhere on this server; nothing repairs a dangling one. `not_ready` applies a clinic's `ready_table` to a
record's parsed resources and says why a visit is not ready to bill.
"""

from __future__ import annotations

from ptbridge.errors import ConfigError, PeerError, PeerRefused, PeerUnavailable, RecordError
from ptbridge.model import SourceRecord
from ptbridge.ports import Connector, ConnectorInfo, Pulled
from ptbridge.wire.extract_folder import PARAMETERS as EXTRACT_PARAMETERS
from ptbridge.wire.extracts import describe_extracts, pull_extracts
from ptbridge.wire.fhir import Entry, FhirClient, Gone, Page
from ptbridge.wire.fhir_check import describe
from ptbridge.wire.fhir_discovery import instant, instant_text
from ptbridge.wire.fhir_join import Visits, civil_day, collection_bundle, not_ready, source_record, unreadable_record
from ptbridge.wire.fhir_plan import (
    CHARGE_ITEM,
    CONDITION,
    NOTE,
    PARAMETERS,
    PROCEDURE,
    STANDARD_CHILDREN,
    Child,
    Plan,
    ready_table,
)
from ptbridge.wire.fhir_references import follow, identifier_keys, reference_key
from ptbridge.wire.fhir_walk import walk, window_start
from ptbridge.wire.hl7_options import PARAMETERS as HL7_PARAMETERS
from ptbridge.wire.hl7_visits import describe_messages, walk_messages
from ptbridge.wire.source_client import OptionValue, SourceClient

__all__ = [
    "CHARGE_ITEM",
    "CONDITION",
    "EXTRACT_PARAMETERS",
    "HL7_PARAMETERS",
    "NOTE",
    "PARAMETERS",
    "PROCEDURE",
    "STANDARD_CHILDREN",
    "Child",
    "ConfigError",
    "Connector",
    "ConnectorInfo",
    "Entry",
    "FhirClient",
    "Gone",
    "OptionValue",
    "Page",
    "PeerError",
    "PeerRefused",
    "PeerUnavailable",
    "Plan",
    "Pulled",
    "RecordError",
    "SourceClient",
    "SourceRecord",
    "Visits",
    "civil_day",
    "collection_bundle",
    "describe",
    "describe_extracts",
    "describe_messages",
    "follow",
    "identifier_keys",
    "instant",
    "instant_text",
    "not_ready",
    "pull_extracts",
    "ready_table",
    "reference_key",
    "source_record",
    "unreadable_record",
    "walk",
    "walk_messages",
    "window_start",
]
