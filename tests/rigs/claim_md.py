from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ptbridge_sandbox.claim_md import REFUSAL, SandboxClaimMd

from tests.rigs import Rig
from tests.rigs.servers import built, rig_at


def rig(folder: Path) -> AbstractAsyncContextManager[Rig]:
    server = SandboxClaimMd()
    build = lambda: built("claim_md", server.base_url)  # noqa: E731
    return rig_at(server, build, refusal=REFUSAL, before_change=lambda sent: server.payer_accepts(sent.reference))
