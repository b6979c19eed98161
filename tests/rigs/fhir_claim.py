from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ptbridge_sandbox.biller import Faults
from ptbridge_sandbox.fhir_claim_server import REFUSAL, SandboxFhirClaims

from ptbridge import plugins
from ptbridge.specs.clinic import DestinationSpec
from ptbridge.wire.http import HttpClient
from tests.rigs import BILLING, CLAIMS, Rig


@asynccontextmanager
async def rig(folder: Path) -> AsyncIterator[Rig]:
    async with SandboxFhirClaims() as server:
        destination = plugins.destination("fhir_claim").build(
            DestinationSpec(platform="fhir_claim", base_url=server.base_url),
            clinic="oak",
            http=HttpClient(server.base_url),
            billing=BILLING,
            folder=None,
            run_id="run-1",
            claims=CLAIMS,
        )

        def lose(on: bool) -> None:
            server.faults = Faults(lose_answer=float(on))

        def refuse(on: bool) -> None:
            server.faults = Faults(refuse=float(on))

        try:
            yield Rig(destination, lose, refuse, refusal=REFUSAL)
        finally:
            await destination.close()
