"""FHIR search over a store: which parameters a server of a given profile takes, and what they find.

A profile is data: for each resource type the parameters that the server takes, and those of which it demands one.
`us_core` is the certified floor as real servers stand on it: no ChargeItem, Procedure by patient only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from .charting import Resource
from .facts import actors, reference_id
from .fhir_time import EARLIEST, comparison
from .shelf import Entry
from .store import Store

Predicate = Callable[[Entry], bool]
Parameters = Sequence[tuple[str, str]]

RESULT_PARAMETERS = frozenset({"_count", "_sort", "_total", "_summary", "_format", "_getpages"})


class SearchRefused(Exception):
    """The server will not run this search: `code` is a FHIR issue type."""

    def __init__(self, text: str, *, code: str = "not-supported") -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class TypeSearch:
    """The search parameters of one type. When `demands` is not empty, a search must name one of them."""

    takes: tuple[str, ...]
    demands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Profile:
    """What a server can be asked. A type that is not named is not there."""

    name: str
    types: Mapping[str, TypeSearch] = field(default_factory=dict)


_PATIENT = ("patient",)
US_CORE = Profile(
    "us_core",
    {
        "Encounter": TypeSearch(("_id", "patient", "date", "_lastUpdated", "status", "identifier")),
        "Procedure": TypeSearch(("patient", "date", "status"), _PATIENT),
        "Condition": TypeSearch(("patient", "category"), _PATIENT),
        "DocumentReference": TypeSearch(("_id", "patient", "type", "date", "status"), ("_id", "patient")),
        "Coverage": TypeSearch(("patient",), _PATIENT),
        "Patient": TypeSearch(("_id", "identifier", "family")),
        "RelatedPerson": TypeSearch(("_id", "patient"), ("_id", "patient")),
        "Practitioner": TypeSearch(("_id", "identifier", "family")),
        "Location": TypeSearch(("_id", "name")),
        "Organization": TypeSearch(("_id", "name", "identifier")),
        "Appointment": TypeSearch(("patient", "date", "status", "practitioner", "location", "actor")),
        "CarePlan": TypeSearch(("patient", "category", "date", "status"), _PATIENT),
        "ServiceRequest": TypeSearch(("_id", "patient", "category", "status"), ("_id", "patient")),
    },
)
"""US Core's SHALLs (9.0.0), Encounter a little better, as most servers have it."""

_EVERYWHERE = ("_id", "_lastUpdated", "identifier", "status")
_MORE = ("patient", "date", "encounter")
FULL = Profile(
    "full",
    {
        **{name: TypeSearch(tuple(dict.fromkeys((*search.takes, *_EVERYWHERE)))) for name, search in US_CORE.types.items()},
        "Procedure": TypeSearch((*_EVERYWHERE, *_MORE)),
        "ChargeItem": TypeSearch((*_EVERYWHERE, "patient", "encounter")),
        "Condition": TypeSearch((*_EVERYWHERE, "patient", "category", "encounter")),
        "DocumentReference": TypeSearch((*_EVERYWHERE, *_MORE, "type")),
    },
)
"""A server that can be asked nearly everything."""

PATIENT_FIRST = Profile(
    "patient_first",
    {
        **US_CORE.types,
        "Encounter": TypeSearch(("_id", "patient", "date", "status"), ("_id", "patient")),
    },
)
"""A server that lists no Encounters without a patient and has no _lastUpdated (emr-sources: Cerner, Epic)."""

PROFILES = {profile.name: profile for profile in (US_CORE, FULL, PATIENT_FIRST)}


def anything(store: Store) -> Profile:
    """A server of whatever types the store holds, each searchable by all that a sandbox can."""
    takes = (*_EVERYWHERE, *_MORE)
    return Profile("anything", {**{type_: TypeSearch(takes) for type_ in sorted(store.shelves)}, **FULL.types})


def find(store: Store, profile: Profile, type_: str, parameters: Parameters, *, lenient: bool = False) -> list[Entry]:
    """Everything that the search finds, in the asked order; entries, not yet bytes.

    `lenient`: ignore parameters that the profile does not take, as some servers silently do. Raises SearchRefused.
    """
    if type_ not in profile.types:
        raise SearchRefused(f"{type_} is not served here.")
    search = profile.types[type_]
    asked = [pair for pair in parameters if pair[0] not in RESULT_PARAMETERS]
    unknown = sorted({name for name, _ in asked} - set(search.takes))
    if unknown and not lenient:
        raise SearchRefused(f"{type_} cannot be searched by {', '.join(unknown)}; it takes {', '.join(search.takes)}.")
    asked = [pair for pair in asked if pair[0] in search.takes]
    if search.demands and not any(name in search.demands for name, _ in asked):
        raise SearchRefused(f"A search of {type_} must name {' or '.join(search.demands)}.", code="required")
    tests = [_predicate(store, type_, name, value) for name, value in asked]
    found = [
        entry
        for entry in _candidates(store, type_, asked)
        if not entry.hidden and not entry.gone and all(test(entry) for test in tests)
    ]
    return _sorted(found, next((value for name, value in parameters if name == "_sort"), ""))


def _candidates(store: Store, type_: str, asked: Parameters) -> Iterable[Entry]:
    """The smallest easily found set that holds every answer; the predicates do the rest."""
    shelf = store.shelf(type_)
    for name, value in asked:
        if name == "_id":
            return [shelf.by_id[id_] for id_ in dict.fromkeys(value.split(",")) if id_ in shelf.by_id]
        if name in ("patient", "encounter"):
            index = shelf.by_patient if name == "patient" else shelf.by_encounter
            found = (entry for id_ in _ids(value) for entry in index.get(id_, ()))
            return {id(entry): entry for entry in found}.values()
    changed_since = max((_low(store, value) for name, value in asked if name == "_lastUpdated"), default=EARLIEST)
    return shelf.by_updated[bisect_left(shelf.by_updated, changed_since, key=lambda entry: entry.updated) :]


def _low(store: Store, value: str) -> int:
    """No answer was changed before this; so a search for what is new costs what is new, not what is there."""
    prefix, _, (low, _) = _compare(store, "_lastUpdated", value)
    return low if prefix in ("eq", "ge", "gt", "sa") else EARLIEST


def _ids(value: str) -> list[str]:
    return list(dict.fromkeys(found for found in map(reference_id, value.split(",")) if found))


def _predicate(store: Store, type_: str, name: str, value: str) -> Predicate:
    if name == "date":
        _, test, _ = _compare(store, name, value)
        return lambda entry: test(entry.start, entry.end)
    if name == "_lastUpdated":
        _, test, _ = _compare(store, name, value)
        return lambda entry: test(entry.updated, entry.updated + 1)
    wanted = frozenset(_ids(value) if name in ("patient", "encounter", "practitioner", "location") else value.split(","))
    if name == "_id":
        return lambda entry: entry.id in wanted
    if name == "patient":
        return lambda entry: entry.patient in wanted
    if name == "encounter":
        return lambda entry: not wanted.isdisjoint(entry.encounters)
    if name == "status":
        return lambda entry: entry.status in wanted
    words = _WORDS[name]
    return lambda entry: not wanted.isdisjoint(words(orjson.loads(store.body(entry))))


def _compare(store: Store, name: str, value: str) -> tuple[str, Callable[[int, int], bool], tuple[int, int]]:
    try:
        return comparison(value, store.time_zone)
    except ValueError as error:
        raise SearchRefused(f"{name}: {error}.", code="invalid") from None


def _token_words(found: object) -> set[str]:
    """Every way to name the tokens of an element: `code` and `system|code`."""
    elements = found if isinstance(found, list) else [found]
    words: set[str] = set()
    for element in elements:
        if not isinstance(element, dict):
            continue
        for token in element.get("coding", [element]):
            code = token.get("code", token.get("value"))
            words |= {str(code), f"{token.get('system', '')}|{code}"}
    return words


def _actor_ids(kind: str) -> Callable[[Resource], set[str]]:
    return lambda resource: {reference_id(actor) or "" for actor in actors(resource) if f"{kind}/" in actor}


_WORDS: dict[str, Callable[[Resource], set[str]]] = {
    "identifier": lambda resource: _token_words(resource.get("identifier")),
    "category": lambda resource: _token_words(resource.get("category")),
    "type": lambda resource: _token_words(resource.get("type")),
    "practitioner": _actor_ids("Practitioner"),
    "location": _actor_ids("Location"),
    "actor": lambda resource: set(actors(resource)),
    "name": lambda resource: {str(resource.get("name"))},
    "family": lambda resource: {str(name.get("family")) for name in resource.get("name", []) if isinstance(name, dict)},
}


_SORT_KEYS: dict[str, Callable[[Entry], object]] = {
    "_lastUpdated": lambda entry: entry.updated,
    "_id": lambda entry: entry.id,
    "date": lambda entry: entry.start,
}


def _sorted(found: list[Entry], order: str) -> list[Entry]:
    for name in reversed([part for part in order.split(",") if part]):
        key = _SORT_KEYS.get(name.removeprefix("-"))
        if key is None:
            raise SearchRefused(f"Cannot sort by {name}; it takes {', '.join(_SORT_KEYS)}.")
        found.sort(key=key, reverse=name.startswith("-"))  # type: ignore[arg-type]
    return found
