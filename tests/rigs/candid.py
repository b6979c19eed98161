from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ptbridge_sandbox.biller import Faults
from ptbridge_sandbox.candid import REFUSAL, SandboxCandid

from ptbridge import plugins
from ptbridge.specs.clinic import DestinationSpec
from ptbridge.wire.http import HttpClient
from tests.rigs import BILLING, CLAIMS, Rig


@asynccontextmanager
async def rig(folder: Path, way: str = "charge_captures") -> AsyncIterator[Rig]:
    async with SandboxCandid() as candid:
        destination = plugins.destination("candid").build(
            DestinationSpec(platform="candid", base_url=candid.base_url, options={"way": way}),
            clinic="oak",
            http=HttpClient(candid.base_url),
            billing=BILLING,
            folder=None,
            run_id="run-1",
            claims=CLAIMS,
        )

        def lose(on: bool) -> None:
            """The answer that makes it billable: before that nothing is taken for billing."""
            candid.lose_only = frozenset({"PATCH"} if way == "charge_captures" else {"POST"})
            candid.faults = Faults(lose_answer=float(on))

        def refuse(on: bool) -> None:
            candid.faults = Faults(refuse=float(on))

        try:
            yield Rig(destination, lose, refuse, refusal=REFUSAL)
        finally:
            await destination.close()
