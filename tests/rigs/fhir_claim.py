from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ptbridge_sandbox.fhir_claim_server import REFUSAL, SandboxFhirClaims

from tests.rigs import Rig
from tests.rigs.servers import built, rig_at

FORMS = ("Claim, ChargeItem", "ChargeItem")  # beside a Claim alone


def rig(folder: Path, form: str = "Claim") -> AbstractAsyncContextManager[Rig]:
    server = SandboxFhirClaims()
    return rig_at(server, lambda: built("fhir_claim", server.base_url, {"resources": form}), refusal=REFUSAL)
