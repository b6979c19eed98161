from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
from ptbridge_sandbox.biller import Faults
from ptbridge_sandbox.stedi import REFUSAL, SandboxStedi

from ptbridge import plugins
from ptbridge.model import Submission
from ptbridge.specs.clinic import DestinationSpec
from ptbridge.wire.http import HttpClient
from tests.rigs import BILLING, CLAIMS, Rig


@asynccontextmanager
async def rig(folder: Path) -> AsyncIterator[Rig]:
    async with SandboxStedi() as stedi:
        destination = plugins.destination("stedi").build(
            DestinationSpec(platform="stedi", base_url=stedi.base_url, options={"usage": "T", "core_url": stedi.base_url}),
            clinic="oak",
            http=HttpClient(stedi.base_url),
            billing=BILLING,
            folder=None,
            run_id="run-1",
            claims=CLAIMS,
        )

        def lose(on: bool) -> None:
            stedi.faults = Faults(lose_answer=float(on))

        def refuse(on: bool) -> None:
            stedi.faults = Faults(refuse=float(on))

        def payer_accepts(sent: Submission) -> str:
            return stedi.payer_accepts(orjson.loads(sent.body)["claimInformation"]["patientControlNumber"])

        try:
            yield Rig(destination, lose, refuse, refusal=REFUSAL, before_change=payer_accepts)
        finally:
            await destination.close()
