"""Is a record older than the one that is known? The source's own clock on each resource tells, never ours (contract D18)."""

from __future__ import annotations

from typing import Any

import orjson

from ptbridge.model import SourceRecord


def is_stale(record: SourceRecord, known: SourceRecord) -> bool:
    """True when a FHIR record is an earlier state of the known one, as a lagging replica gives it.

    Something that both hold was written earlier in `record`, and nothing in it was written later than in `known`. Where the
    source gives no `meta.lastUpdated`, nothing is stale: what came last counts.
    """
    before, now = _written(known), _written(record)
    older = any(now[name] < before[name] for name in now.keys() & before.keys())
    newest = max(before.values(), default="")
    later = any(at > before.get(name, newest) for name, at in now.items())
    return older and not later


def _written(record: SourceRecord) -> dict[str, str]:
    """Resource (`Type/id`) -> when it was last written, as the source says it in UTC; only those that say so."""
    if not record.media_type.endswith("json") or b'"lastUpdated"' not in record.payload:
        return {}
    try:
        bundle = orjson.loads(record.payload)
    except orjson.JSONDecodeError:
        return {}
    entries = bundle.get("entry") if isinstance(bundle, dict) else None
    found: dict[str, str] = {}
    for entry in entries if isinstance(entries, list) else ():
        resource = entry.get("resource") if isinstance(entry, dict) else None
        at = _last_updated(resource)
        if at and isinstance(resource, dict):
            found[f"{resource.get('resourceType')}/{resource.get('id')}"] = at
    return found


def _last_updated(resource: Any) -> str:
    """`meta.lastUpdated` where it is an instant in UTC, whose text sorts as its time does; empty otherwise."""
    meta = resource.get("meta") if isinstance(resource, dict) else None
    at = meta.get("lastUpdated") if isinstance(meta, dict) else None
    return at[:-1] if isinstance(at, str) and at.endswith("Z") else ""
