"""Any EMR with a FHIR R4 API (US Core or more): visits arrive by search, as Encounters joined with what belongs to them.

Configurable in the clinic file; `ptbridge connector check fhir_r4` says what a server can do and which way is taken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from ptbridge.sdk import PARAMETERS, ConnectorInfo, Plan, Pulled, SourceClient, describe, walk

INFO = ConnectorInfo(
    name="fhir_r4",
    standard="FHIR R4",
    summary="Any FHIR R4 server: visits found by encounters, patients or appointments, joined with all that belongs to them.",
    mapping="emrs/fhir_r4",
    parameters=PARAMETERS,
)

PLAN = Plan()


def pull(client: SourceClient, cursor: Mapping[str, str]) -> AsyncIterator[Pulled]:
    """Yield the visits that may have changed since the cursor, in batches; the last batch carries the new cursor."""
    return walk(client, cursor, PLAN)


async def check(client: SourceClient) -> list[str]:
    """Plain sentences: what this server can and cannot do, and which fallback will be used."""
    return await describe(client, PLAN)
