"""The resources of one record by type, and what a reference inside it leads to."""

from __future__ import annotations

from typing import Any, Final

Resource = dict[str, Any]

_MISSING: Final[Resource] = {}


class RecordIndex:
    """Built once per record. `types` keeps the order of the record; reference targets are indexed on first use."""

    __slots__ = ("_by_reference", "_extended", "_extensions", "resources", "types")

    def __init__(self, resources: list[Resource]) -> None:
        self.resources = resources
        self.types: dict[str, list[Resource]] = {}
        self._by_reference: dict[str, Resource | None] = {}
        self._extended: Resource = _MISSING  # whose extensions these are
        self._extensions: dict[str, list[Resource]] = {}
        by_reference, types = self._by_reference, self.types
        for resource in resources:
            kind = resource.get("resourceType")
            if kind.__class__ is not str:
                continue
            if kind in types:
                types[kind].append(resource)
            else:
                types[kind] = [resource]
            identity = resource.get("id")
            if identity.__class__ is str:
                by_reference[f"{kind}/{identity}"] = resource

    def extensions(self, node: Resource) -> dict[str, list[Resource]]:
        """A node's extensions by URL. A mapping asks one node for many, so the last node's are kept."""
        if node is not self._extended:
            found: dict[str, list[Resource]] = {}
            written = node.get("extension")
            for extension in written if written.__class__ is list else ():
                name = extension.get("url") if extension.__class__ is dict else None
                if name.__class__ is str:
                    if name in found:
                        found[name].append(extension)
                    else:
                        found[name] = [extension]
            self._extended, self._extensions = node, found
        return self._extensions

    def resolve(self, node: Any) -> Resource | None:
        """The resource that a Reference (or a bare reference text) leads to inside this record, or None."""
        if node.__class__ is dict:
            reference = node.get("reference")
            if reference is None:
                return self._by_identifier(node.get("type"), node.get("identifier"))
        else:
            reference = node
        if reference.__class__ is not str:
            return None
        found = self._by_reference.get(reference, _MISSING)
        if found is _MISSING:
            found = self._by_reference[reference] = self._search(reference)
        return found

    def _search(self, reference: str) -> Resource | None:
        """The forms that are not `Type/id`: contained, urn:uuid, absolute, versioned, by identifier."""
        if reference.startswith("#"):
            return self._contained(reference[1:])
        if reference.startswith("urn:"):
            identity = reference.rpartition(":")[2]
            return self._only([resource for resource in self.resources if resource.get("id") == identity])
        path, _, query = reference.partition("?")
        if query.startswith("identifier="):
            system, _, value = query.removeprefix("identifier=").rpartition("|")
            return self._by_identifier(path.rpartition("/")[2], {"system": system, "value": value})
        parts = path.partition("/_history/")[0].split("/")
        # An absolute reference is looked up by its last two parts: the record holds only what was joined to this visit.
        return self._by_reference.get("/".join(parts[-2:])) if len(parts) > 2 or "/_history/" in path else None

    def _contained(self, identity: str) -> Resource | None:
        """A contained resource; None when two resources contain that id, because then it says nothing."""
        found = []
        for resource in self.resources:
            contained = resource.get("contained")
            if contained.__class__ is list:
                found += [inner for inner in contained if inner.__class__ is dict and inner.get("id") == identity]
        return self._only(found)

    def _by_identifier(self, kind: Any, identifier: Any) -> Resource | None:
        if identifier.__class__ is not dict or not identifier.get("value"):
            return None
        system, value = identifier.get("system") or None, identifier["value"]
        pool = self.types.get(kind, []) if kind else self.resources
        return self._only([resource for resource in pool if _has_identifier(resource, system, value)])

    @staticmethod
    def _only(found: list[Resource]) -> Resource | None:
        return found[0] if len(found) == 1 else None


def _has_identifier(resource: Resource, system: str | None, value: Any) -> bool:
    identifiers = resource.get("identifier")
    if identifiers.__class__ is dict:
        identifiers = [identifiers]
    if identifiers.__class__ is not list:
        return False
    return any(
        entry.__class__ is dict and entry.get("value") == value and (system is None or entry.get("system") == system)
        for entry in identifiers
    )
