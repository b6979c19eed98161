from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ptbridge_sandbox.candid import REFUSAL, SandboxCandid

from tests.rigs import Rig
from tests.rigs.servers import built, rig_at

FORMS = ("encounters",)  # beside charge captures


def rig(folder: Path, form: str = "charge_captures") -> AbstractAsyncContextManager[Rig]:
    """The answer that is lost is the one that makes a charge billable: before that nothing is taken for billing."""
    server = SandboxCandid()
    last = frozenset({"PATCH"} if form == "charge_captures" else {"POST"})
    return rig_at(server, lambda: built("candid", server.base_url, {"way": form}), refusal=REFUSAL, lose_only=last)
