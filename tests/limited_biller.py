"""charge_api with less than it can do: a biller without replacements, without voids, or one that makes claims of charges.

Installed for a test as a real plugin: a distribution with an entry point, found as every other one is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from ptbridge.destinations import DestinationParts, charge_api
from ptbridge.model import Stage
from ptbridge.ports import Capabilities, DestinationInfo

NAME = "limited_api"
INFO = DestinationInfo(
    name=NAME,
    summary="charge_api, with what the option `can` leaves of it.",
    needs=("base_url",),
    options={"can": "void-only | neither | claims | task-after-payer"},
)


def _limits(can: str, capabilities: Capabilities) -> Capabilities:
    match can:
        case "void-only":
            return replace(capabilities, replace=False)
        case "neither":
            return replace(capabilities, replace=False, void=False)
        case "claims":
            return replace(capabilities, open_until=Stage.CLAIM_MADE, payer_number=True, rejected_is_gone=True)
        case "task-after-payer":
            return replace(capabilities, task_after=Stage.CLEARINGHOUSE)
    raise AssertionError(can)


def build(parts: DestinationParts) -> charge_api.ChargeApi:
    plain = charge_api.build(replace(parts, spec=msgspec.structs.replace(parts.spec, platform="charge_api", options={})))
    plain._capabilities = _limits(parts.options["can"], plain.capabilities)
    return plain


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the plugin findable, for this test."""
    info = folder / "limited_biller-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: limited-biller\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[ptbridge.destinations]\n{NAME} = {__name__}\n", "utf-8")
    monkeypatch.syspath_prepend(str(folder))
