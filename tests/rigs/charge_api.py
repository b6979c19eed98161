from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ptbridge_sandbox.biller import Faults, SandboxBiller

from ptbridge import plugins
from ptbridge.specs.clinic import DestinationSpec
from ptbridge.wire.http import HttpClient
from tests.rigs import BILLING, Rig


@asynccontextmanager
async def rig(folder: Path) -> AsyncIterator[Rig]:
    async with SandboxBiller() as biller:
        destination = plugins.destination("charge_api").build(
            DestinationSpec(platform="charge_api", base_url=biller.base_url),
            clinic="oak",
            http=HttpClient(biller.base_url),
            billing=BILLING,
            folder=None,
            run_id="run-1",
        )

        def lose(on: bool) -> None:
            biller.faults = Faults(lose_answer=float(on))

        def refuse(on: bool) -> None:
            biller.faults = Faults(refuse=float(on))

        try:
            yield Rig(destination, lose, refuse)
        finally:
            await destination.close()
