from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ptbridge_sandbox.biller import SandboxBiller

from tests.rigs import Rig
from tests.rigs.servers import built, rig_at


def rig(folder: Path) -> AbstractAsyncContextManager[Rig]:
    server = SandboxBiller()
    return rig_at(server, lambda: built("charge_api", server.base_url))
