from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import orjson
from ptbridge_sandbox.stedi import REFUSAL, SandboxStedi

from ptbridge.model import Submission
from tests.rigs import Rig
from tests.rigs.servers import built, rig_at


def rig(folder: Path) -> AbstractAsyncContextManager[Rig]:
    server = SandboxStedi()

    def payer_accepts(sent: Submission) -> str:
        return server.payer_accepts(orjson.loads(sent.body)["claimInformation"]["patientControlNumber"])

    def build() -> object:
        return built("stedi", server.base_url, {"usage": "T", "core_url": server.base_url})

    return rig_at(server, build, refusal=REFUSAL, before_change=payer_accepts)
