"""What a FHIR walk needs to know before it starts: the EMR's ways as data, the clinic's options, the server's own word.

`Plan` is declared by a connector file, `Settings` are read from the clinic file's options, `Server` from `/metadata`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ptbridge.errors import ConfigError
from ptbridge.wire.fhir_references import follow, items
from ptbridge.wire.source_client import OptionValue, SourceClient

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """One resource type that is joined to encounters, and how it can be asked for.

    `is_line`: it documents a service, so that one without a visit is reported and never dropped. `open_ended`: its date
    is when it was written, which may be long after the visit, so a window by date has no end. It is asked for by the first
    of `encounter_params` that the server has, else the first of `patient_params`, with `date_param` when it has that too.
    """

    type: str
    encounter_path: Path = ("encounter",)
    encounter_params: tuple[str, ...] = ("encounter",)
    patient_path: Path = ("subject",)
    patient_params: tuple[str, ...] = ("patient", "subject")
    date_param: str | None = "date"
    open_ended: bool = False
    day_paths: tuple[Path, ...] = ()
    performer_path: Path = ()
    is_line: bool = False


PROCEDURE = Child(
    type="Procedure",
    day_paths=(("performedPeriod", "start"), ("performedDateTime",), ("performedPeriod", "end")),
    performer_path=("performer", "actor"),
    is_line=True,
)
CHARGE_ITEM = Child(
    type="ChargeItem",
    encounter_path=("context",),
    encounter_params=("context", "encounter"),  # R4 says context; servers that know R5 say encounter
    date_param="occurrence",
    day_paths=(("occurrencePeriod", "start"), ("occurrenceDateTime",)),
    performer_path=("performer", "actor"),
    is_line=True,
)
# A problem list has no place in a visit: Conditions are joined by reference only, and have no date to be narrowed by.
CONDITION = Child(type="Condition", date_param=None)
NOTE = Child(
    type="DocumentReference",
    encounter_path=("context", "encounter"),
    open_ended=True,
    day_paths=(("context", "period", "start"), ("date",)),
    performer_path=("author",),
)
STANDARD_CHILDREN = (PROCEDURE, CHARGE_ITEM, CONDITION, NOTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """One resource type of the patient, not of the encounter: all that the patient has is asked for, once a run."""

    type: str
    owner_path: Path
    patient_params: tuple[str, ...]


COVERAGE = Owned(type="Coverage", owner_path=("beneficiary",), patient_params=("patient", "beneficiary"))
CARE_PLAN = Owned(type="CarePlan", owner_path=("subject",), patient_params=("patient", "subject"))

# Joined only when the option `resources` names them: a token without their scope must not end the run of who did not ask.
OPT_IN = frozenset({"Account", "Appointment", "CarePlan", "ServiceRequest"})

# The US Core floor (9.0.0, 2026-04-16), taken for a server whose /metadata lists no search parameters at all.
US_CORE_FLOOR: Mapping[str, frozenset[str]] = {
    "Encounter": frozenset({"_id", "patient", "date"}),
    "Procedure": frozenset({"patient", "date"}),
    "Condition": frozenset({"patient"}),
    "DocumentReference": frozenset({"_id", "patient"}),
    "Coverage": frozenset({"patient"}),
    "Patient": frozenset({"_id"}),
    "Practitioner": frozenset({"identifier"}),
    "Location": frozenset(),
    "Organization": frozenset(),
}

PARAMETERS: Mapping[str, str] = {
    "discovery": "how visits are found: encounters (default), patients, or appointments",
    "patients": "patient ids, for discovery by patients",
    "patients_file": "a file with one patient id a line, for discovery by patients",
    "group": "a Group id whose members are the patients, for discovery by patients",
    "locations": "Location ids, for discovery by appointments",
    "practitioners": "Practitioner ids, for discovery by appointments",
    "search": "further Encounter search parameters as name: value; an encounter outside them is never seen",
    "ready_when": "what is ready to bill: a table of Resource.element: [allowed values]; the rest is pulled and held",
    "overlap": "how far each poll reaches back before the last one (default 10 minutes)",
    "lookback": "how far back the re-scan by service date goes (default 30 days)",
    "rescan_every": "how often that re-scan runs (default 24 hours)",
    "recent": "days of service read on every run where a server cannot search by last update (default 7 days)",
    "changed_children": "ask for changed Procedures, notes … by last update: auto (default: where the server can), yes, no",
    "unlinked_lines": "look for lines that name no Encounter by patient, day and performer: yes (default), no",
    "sort": "how the Encounter search is sorted (default _lastUpdated where the server has it); no turns it off",
    "date_form": "how dates are written in searches: day (default) or instant",
    "resources": "which resource types are joined (default: all that the plan names and the server has); Account, Appointment, "
    "CarePlan and ServiceRequest only when named here, and naming none but these leaves the others as they are",
    "care_plan_category": "a category asked with every search of CarePlan, for servers that demand one: assess-plan (US Core)",
    "can_search": "search parameters that the server has and /metadata does not say, as Type: [parameters]",
    "cannot_search": "search parameters that /metadata claims and the server does not do, as Type: [parameters]",
    "patients_per_request": "patients in one comma list (default 20; 1 for servers that take no lists)",
    "encounters_per_request": "encounters or ids in one comma list (default 50; 1 for servers that take no lists)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one EMR is walked: children to join, options that differ from the defaults, and what its /metadata gets wrong.

    `notes` are plain sentences for `check`: what a person should know of this EMR, whatever its /metadata says.
    """

    children: tuple[Child, ...] = STANDARD_CHILDREN
    defaults: Mapping[str, OptionValue] = field(default_factory=dict)
    can_search: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cannot_search: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A clinic's options over the plan's defaults, read and checked. ConfigError names the option and what it may be."""

    discovery: str
    patients: tuple[str, ...] = field(repr=False)
    patients_file: str
    group: str
    locations: tuple[str, ...]
    practitioners: tuple[str, ...]
    search: tuple[tuple[str, str], ...]
    overlap: timedelta
    lookback: timedelta
    rescan_every: timedelta
    recent: timedelta
    changed_children: str
    unlinked_lines: bool
    sort: str
    date_form: str
    resources: tuple[str, ...]
    care_plan_category: str
    can_search: Mapping[str, tuple[str, ...]]
    cannot_search: Mapping[str, tuple[str, ...]]
    patients_per_request: int
    encounters_per_request: int

    @classmethod
    def read(cls, client: SourceClient, plan: Plan) -> Settings:
        """The options of this clinic. Raises ConfigError before anything is pulled."""
        options = _Options({**plan.defaults, **client.options}, f"{client.clinic}: source.options")
        settings = cls(
            discovery=options.word("discovery", "encounters", ("encounters", "patients", "appointments")),
            patients=options.words("patients"),
            patients_file=options.text("patients_file", ""),
            group=options.text("group", ""),
            locations=options.words("locations"),
            practitioners=options.words("practitioners"),
            search=tuple((name, value) for name, values in options.table("search").items() for value in values),
            overlap=options.duration("overlap", "10 minutes"),
            lookback=options.duration("lookback", "30 days"),
            rescan_every=options.duration("rescan_every", "24 hours"),
            recent=options.duration("recent", "7 days"),
            changed_children=options.word("changed_children", "auto", ("auto", "yes", "no")),
            unlinked_lines=options.word("unlinked_lines", "yes", ("yes", "no")) == "yes",
            sort=options.text("sort", "auto"),
            date_form=options.word("date_form", "day", ("day", "instant")),
            resources=options.words("resources"),
            care_plan_category=options.text("care_plan_category", ""),
            can_search=_merged(plan.can_search, options.table("can_search")),
            cannot_search=_merged(plan.cannot_search, options.table("cannot_search")),
            patients_per_request=options.count("patients_per_request", 20),
            encounters_per_request=options.count("encounters_per_request", 50),
        )
        options.table("ready_when")  # its shape is checked here; `not_ready` applies it, record by record
        if settings.discovery == "patients" and not (settings.patients or settings.patients_file or settings.group):
            raise options.error("discovery", "patients needs patients, patients_file or group")
        if settings.discovery == "appointments" and not (settings.locations or settings.practitioners):
            raise options.error("discovery", "appointments needs locations or practitioners")
        return settings

    def joins(self, resource_type: str) -> bool:
        """True when this type is wanted: all are, unless the clinic listed some; those of OPT_IN only when it listed them."""
        if resource_type in OPT_IN:
            return resource_type in self.resources
        return OPT_IN.issuperset(self.resources) or resource_type in self.resources


def ready_table(options: Mapping[str, OptionValue], plan: Plan | None = None) -> dict[str, tuple[str, ...]]:
    """A clinic's `ready_when` over its connector's own, for `not_ready`. Raises ConfigError when it is no table."""
    return _Options({**(plan.defaults if plan else {}), **options}, "source.options").table("ready_when")


_DURATION = re.compile(r"(\d+) (minute|hour|day)s?")


class _Options:
    """Option texts and the one way in which each may be wrong."""

    def __init__(self, values: Mapping[str, OptionValue], where: str) -> None:
        self.values, self.where = values, where
        for name in values:
            if name not in PARAMETERS:
                raise ConfigError(f"unknown option {name!r}. Known options: {', '.join(PARAMETERS)}.", where=where)

    def error(self, name: str, message: str) -> ConfigError:
        return ConfigError(message, where=f"{self.where}.{name}")

    def text(self, name: str, default: str) -> str:
        value = self.values.get(name, default)
        if not isinstance(value, str):
            raise self.error(name, "needs one value, not a list or a table")
        return value.strip()

    def word(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise self.error(name, f"{value!r} is not one of {', '.join(allowed)}")
        return value

    def words(self, name: str) -> tuple[str, ...]:
        value = self.values.get(name, ())
        if isinstance(value, Mapping):
            raise self.error(name, "needs a list, not a table")
        return (value,) if isinstance(value, str) else tuple(value)

    def table(self, name: str) -> dict[str, tuple[str, ...]]:
        value = self.values.get(name, {})
        if not isinstance(value, Mapping):
            raise self.error(name, "needs a table of name: value")
        return {key: (one,) if isinstance(one, str) else tuple(one) for key, one in value.items()}

    def duration(self, name: str, default: str) -> timedelta:
        text = self.text(name, default)
        match = _DURATION.fullmatch(text)
        if match is None:
            raise self.error(name, f"{text!r} is not a duration; write it as 10 minutes, 24 hours or 30 days")
        return timedelta(**{f"{match[2]}s": int(match[1])})

    def count(self, name: str, default: int) -> int:
        text = self.text(name, str(default))
        if not text.isdecimal() or not 1 <= int(text) <= 1000:
            raise self.error(name, f"{text!r} is not a number from 1 to 1000")
        return int(text)


def _merged(first: Mapping[str, tuple[str, ...]], second: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {name: (*first.get(name, ()), *second.get(name, ())) for name in {*first, *second}}


@dataclass(frozen=True, slots=True)
class Server:
    """What this server can search, by its /metadata and by what the plan and the clinic know better.

    `declared` is False when /metadata lists no search parameters: then the US Core floor is taken.
    """

    params: Mapping[str, frozenset[str]]
    declared: bool
    software: str = ""

    @classmethod
    async def read(cls, client: SourceClient, settings: Settings) -> Server:
        """Ask /metadata. Raises PeerError when the server does not answer it."""
        statement = await client.fhir.capability()
        found = _search_params(statement)
        declared = any(found.values())
        params = {name: set(words) for name, words in (found if declared else US_CORE_FLOOR).items()}
        for name, words in settings.can_search.items():
            params.setdefault(name, set()).update(words)
        for name, words in settings.cannot_search.items():
            params.setdefault(name, set()).difference_update(words)
        software = next((text for text in follow(statement, ("software", "name")) if isinstance(text, str)), "")
        return cls({name: frozenset(words) for name, words in params.items()}, declared, software)

    def has(self, resource_type: str) -> bool:
        """True when the server serves this type, or when it does not say what it serves."""
        return not self.declared or resource_type in self.params

    def can(self, resource_type: str, *params: str) -> bool:
        """True when it can search this type by all of these."""
        return self.params.get(resource_type, frozenset()).issuperset(params)

    def first(self, resource_type: str, params: Iterable[str | None]) -> str | None:
        """The first of these that it can search this type by."""
        return next((param for param in params if param and self.can(resource_type, param)), None)


def _search_params(statement: object) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for rest in items(statement.get("rest")) if isinstance(statement, dict) else ():
        everywhere = set(_texts(rest, ("searchParam", "name")))
        for resource in follow(rest, ("resource",)):
            for kind in _texts(resource, ("type",)):
                found.setdefault(kind, set()).update(everywhere, _texts(resource, ("searchParam", "name")))
    return found


def _texts(value: Any, path: Path) -> list[str]:
    return [text for text in follow(value, path) if isinstance(text, str)]
