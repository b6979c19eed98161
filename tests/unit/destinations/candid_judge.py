"""Candid's own SDK as judge of what is sent to it, and of what the pretend Candid answers.

The SDK's types let unknown fields and enum members pass, to be ready for a newer server; here both are errors.
"""

from __future__ import annotations

import enum
import inspect
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pydantic

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK's own configuration, see docs/decisions/0001-packages.md
    from candid.resources.charge_capture.resources.v_1 import ChargeCapture, ChargeCaptureData, ChargeCaptureStatus
    from candid.resources.charge_capture.resources.v_1.client import V1Client as ChargeClient
    from candid.resources.charge_capture_bundles.resources.v_1 import ChargeCaptureClaimCreation
    from candid.resources.diagnoses import DiagnosisTypeCode, StandaloneDiagnosisCreate
    from candid.resources.encounters.resources.v_4 import Encounter, EncounterCreate, EncounterUpdate
    from candid.resources.events.resources.v_1 import EventScanPage
    from candid.resources.service_lines.resources.v_2 import ServiceLineCreateStandalone

__all__ = ["ChargeCapture", "ChargeCaptureClaimCreation", "Encounter", "EventScanPage", "judge_request", "problems"]

_REQUESTS: list[tuple[str, str, Any]] = [
    ("POST", r"/api/encounters/v4", EncounterCreate),
    ("PATCH", r"/api/encounters/v4/[^/]+", EncounterUpdate),
    ("POST", r"/api/diagnoses/v2", StandaloneDiagnosisCreate),
    ("PUT", r"/api/service-lines/v2/external-id/[^/]+", ServiceLineCreateStandalone),
]


def judge_request(method: str, path: str, body: Any) -> list[str]:
    """Everything that the SDK's types say against a change as it was asked; empty when nothing."""
    if re.fullmatch(r"/api/charge_captures/v1(/[^/]+)?", path):
        return _charge(ChargeClient.create if method == "POST" else ChargeClient.update, body)
    if method == "PATCH" and path.startswith("/api/diagnoses/v2/"):
        return _fields(body, {"code_type": DiagnosisTypeCode})
    if method == "DELETE":
        return [] if body == {} else ["a body where none is asked"]
    for asked, pattern, kind in _REQUESTS:
        if asked == method and re.fullmatch(pattern, path):
            return problems(kind, body)
    return [f"the SDK knows no {method} {path}"]


def _charge(call: Any, body: dict[str, Any]) -> list[str]:
    known = inspect.signature(call).parameters
    found = [f"{name}: the SDK's call has no such argument" for name in body if name not in known]
    needed = [name for name, one in known.items() if one.default is inspect.Parameter.empty]
    found += [f"{name}: is missing" for name in needed if name not in {*body, "self", "charge_capture_id"}]
    if "data" in body:
        found += problems(ChargeCaptureData, body["data"])
    return found + _fields({"status": body["status"]}, {"status": ChargeCaptureStatus})


def _fields(body: dict[str, Any], kinds: dict[str, Any]) -> list[str]:
    found = [f"{name}: unknown field" for name in body if name not in kinds]
    return found + [place for name in body if name in kinds for place in problems(kinds[name], body[name])]


def problems(kind: Any, document: Any) -> list[str]:
    """What a document has that its type does not know, or lacks."""
    try:
        parsed = pydantic.TypeAdapter(kind).validate_python(document)
    except pydantic.ValidationError as error:
        return [f"{'/'.join(map(str, one['loc']))}: {one['type']}" for one in error.errors()]
    return list(_strangers(parsed, ""))


def _strangers(value: Any, where: str) -> Iterator[str]:
    if isinstance(value, enum.Enum) and value.name.startswith("_UNKNOWN"):
        yield f"{where}: unknown enum member {value.value!r}"
    elif isinstance(value, pydantic.BaseModel):
        yield from (f"{where}/{name}: unknown field" for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from _strangers(getattr(value, name), f"{where}/{name}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _strangers(item, f"{where}/{place}")
