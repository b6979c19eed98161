from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ptbridge_sandbox.biller import Faults
from ptbridge_sandbox.claim_md import REFUSAL, SandboxClaimMd

from ptbridge import plugins
from ptbridge.specs.clinic import DestinationSpec
from ptbridge.wire.http import HttpClient
from tests.rigs import BILLING, CLAIMS, Rig


@asynccontextmanager
async def rig(folder: Path) -> AsyncIterator[Rig]:
    async with SandboxClaimMd() as claim_md:
        destination = plugins.destination("claim_md").build(
            DestinationSpec(platform="claim_md", base_url=claim_md.base_url),
            clinic="oak",
            http=HttpClient(claim_md.base_url),
            billing=BILLING,
            folder=None,
            run_id="run-1",
            claims=CLAIMS,
        )

        def lose(on: bool) -> None:
            claim_md.faults = Faults(lose_answer=float(on))

        def refuse(on: bool) -> None:
            claim_md.faults = Faults(refuse=float(on))

        try:
            yield Rig(
                destination,
                lose,
                refuse,
                refusal=REFUSAL,
                before_change=lambda sent: claim_md.payer_accepts(sent.reference),
            )
        finally:
            await destination.close()
