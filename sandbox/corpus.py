"""Loads folders of FHIR files, as they are, into a store: public examples and bulk exports."""

from __future__ import annotations

from pathlib import Path

import orjson

from .store import Store


def load_folder(store: Store, folder: Path) -> int:
    """Put every resource of a folder's `*.json` and `*.ndjson` files into the store as it is; the number of them.

    Collection and other Bundles are kept as Bundles and unpacked too. What is no FHIR resource at all is left out.
    """
    count = 0
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".ndjson":
            bodies = [line for line in path.read_bytes().splitlines() if line.strip()]
        elif path.suffix == ".json":
            bodies = [path.read_bytes()]
        else:
            continue
        for position, body in enumerate(bodies):
            count += _load(store, body, f"{path.stem}-{position + 1}".replace(".", "-"))
    return count


def _load(store: Store, body: bytes, spare_id: str) -> int:
    try:
        resource = orjson.loads(body)
    except orjson.JSONDecodeError:
        return 0
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        return 0
    id_ = resource.get("id")
    store.add_as_is(body, resource, id_=id_ if isinstance(id_, str) and id_ else spare_id)
    inner = resource.get("entry") if resource["resourceType"] == "Bundle" else None
    count = 1
    for position, entry in enumerate(inner if isinstance(inner, list) else []):
        inside = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(inside, dict):
            count += _load(store, orjson.dumps(inside), f"{spare_id}-{position + 1}")
    return count
