"""Medplum, over its FHIR R4 store: visits arrive by Encounter search, ready when `Encounter.status` is finished.

A full R4 server: every resource can be searched by last update, Procedure and DocumentReference by encounter, and ChargeItem
exists where a practice writes it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from ptbridge.sdk import PARAMETERS, ConnectorInfo, Plan, Pulled, SourceClient, describe, walk

INFO = ConnectorInfo(
    name="medplum",
    standard="FHIR R4",
    summary="Medplum: full FHIR R4 with ChargeItem; a visit is ready when its Encounter is finished.",
    mapping="emrs/medplum",
    parameters=PARAMETERS,
)

PLAN = Plan(
    # 2026-11, medplum/medplum-demo-bots 0364631: the bots that bill start on Encounter.status = finished. It is a table for
    # `not_ready`, not a filter: an encounter that left `finished` must be seen too, or its charge would stay.
    defaults={"ready_when": {"Encounter.status": ("finished",)}},
    notes=(
        # 2026-11, medplum/medplum-demo-bots 0364631: the demo biller bot sends quantity "1" with the unit MJ (minutes).
        "Medplum's demo biller bot writes quantity 1 with the unit MJ (minutes); where a practice copied it, 1 is no minute.",
        # 2026-11, same commit: it takes the procedure code from Encounter.type and diagnoses from Encounter.reasonCode.
        "Such a practice keeps its codes in Encounter.type and Encounter.reasonCode: map them in the clinic's mapping.",
    ),
)


def pull(client: SourceClient, cursor: Mapping[str, str]) -> AsyncIterator[Pulled]:
    """Yield the visits that may have changed since the cursor, in batches; the last batch carries the new cursor."""
    return walk(client, cursor, PLAN)


async def check(client: SourceClient) -> list[str]:
    """Plain sentences: what this server can and cannot do, and which fallback will be used."""
    return await describe(client, PLAN)
