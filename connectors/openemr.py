"""OpenEMR, over its FHIR R4 API (US Core): visits arrive by Encounter search; the fee sheet, where its charges are, does not.

What can be billed from here is what a clinic documents as Procedures with minutes; see the sentences of `check`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from ptbridge.sdk import CONDITION, NOTE, PARAMETERS, PROCEDURE, ConnectorInfo, Plan, Pulled, SourceClient, describe, walk

INFO = ConnectorInfo(
    name="openemr",
    standard="FHIR R4",
    summary="OpenEMR: US Core FHIR; the fee sheet (codes, modifiers, units) is not in FHIR.",
    mapping="emrs/openemr",
    parameters=PARAMETERS,
)

PLAN = Plan(
    # OpenEMR serves no ChargeItem (docs and PRs read 2026-11).
    children=(PROCEDURE, CONDITION, NOTE),
    # 2026-11, OpenEMR PR #4545: Procedure is searched by patient, date and code, so never by encounter, and not by last update.
    cannot_search={"Procedure": ("encounter", "_lastUpdated")},
    # 2026-11, OpenEMR PR #7066: Encounter.meta.lastUpdated tracks the encounter form's row only, so an edited child is found
    # by the re-scan alone; half a day is as long as a charge should wait for it.
    defaults={"rescan_every": "12 hours"},
    notes=(
        # 2026-11, OpenEMR PR #4545: Procedure holds surgeries and procedure orders that are no lab.
        "OpenEMR's fee sheet (procedure codes, modifiers, units) is not in FHIR: charges entered there are missing here, "
        "and a visit whose lines exist only there arrives without lines.",
        # 2026-11, OpenEMR PR #7066.
        "Encounter.meta.lastUpdated tracks the encounter form only: an edited note or procedure is found by the re-scan.",
        # 2026-11, dev.to report on OpenEMR's FHIR API.
        "Coverage comes without plan name, group number and end date.",
        # 2026-11, OpenEMR docs and the same report: the API is off until an administrator enables it and the client.
        "If every request is refused: an administrator must enable the FHIR API and this client.",
    ),
)


def pull(client: SourceClient, cursor: Mapping[str, str]) -> AsyncIterator[Pulled]:
    """Yield the visits that may have changed since the cursor, in batches; the last batch carries the new cursor."""
    return walk(client, cursor, PLAN)


async def check(client: SourceClient) -> list[str]:
    """Plain sentences: what this server can and cannot do, and which fallback will be used."""
    return await describe(client, PLAN)
