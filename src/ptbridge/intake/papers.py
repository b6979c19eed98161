"""A visit's papers by the mapping: plan of care, accident, referral, notice, co-signature, and who is to pay.

Most sources give few of them. A field that no mapping names is not read at all and stays absent, so that an edit can say that
the source does not tell.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from ptbridge.intake import values
from ptbridge.intake.converts import flag, text
from ptbridge.intake.fields import Field, Reading, compile_field
from ptbridge.intake.groups import Group, Item
from ptbridge.intake.section_source import Section, Slot
from ptbridge.model import Accident, Guarantor, PlanOfCare
from ptbridge.specs.mapping import Mapping

ACCIDENTS = ("employment", "auto", "other")
TELEHEALTH = ("video", "audio")
BILLING = ("cash", "maintenance", "no-charge")

PLAN_DATES = ("start", "end", "certified_on", "order_signed_on", "sent_on")


def compile_papers(mapping: Mapping) -> Callable[[Reading, date | None], dict[str, Any]]:
    """What reads them: the keyword arguments of a Visit, of those fields only that the mapping names and the record has."""
    fields = _mapped(
        mapping,
        "visit",
        {
            "authorization_number": text,
            "episode_id": _identity,
            "referral_on": _civil_day,
            "abn_signed_on": _civil_day,
            "cosigned": flag,
            "telehealth": _one_of("telehealth", TELEHEALTH),
            "billing": _one_of("billing", BILLING),
        },
    )
    section = Section(*map(Slot, fields.values()))
    plan, accident, guarantor = _compile_plan(mapping), _compile_accident(mapping), _compile_guarantor(mapping)

    def read(reading: Reading, on: date | None) -> dict[str, Any]:
        found = dict(zip(fields, section.read_visit(reading), strict=True))
        if plan is not None and (of_visit := plan(reading, on)) is not None:
            found["plan_of_care"] = of_visit
        if accident is not None and (happened := accident(reading)) is not None:
            found["accident"] = happened
        if guarantor is not None and (named := guarantor(reading)) is not None:
            found["guarantor"] = named
        return found

    return read


def _compile_plan(mapping: Mapping) -> Callable[[Reading, date | None], PlanOfCare | None] | None:
    """The plan of the visit: of several, the one that began last by the service date; None without `each`."""
    group = Group(mapping, "plan_of_care")
    fields = _mapped(mapping, "plan_of_care", dict.fromkeys(PLAN_DATES, _civil_day))
    if not group.paths or not fields:
        return None

    section = Section(*map(Slot, fields.values()))

    def one(item: Item, reading: Reading) -> PlanOfCare:
        return PlanOfCare(**dict(zip(fields, section.read(*item, reading), strict=True)))

    def read(reading: Reading, on: date | None) -> PlanOfCare | None:
        plans = [one(item, reading) for item in group.items(reading)]
        begun = [plan for plan in plans if plan.start is None or on is None or plan.start <= on]
        return max(begun or plans, key=lambda plan: plan.start or date.min, default=None)

    return read


def _compile_accident(mapping: Mapping) -> Callable[[Reading], Accident | None] | None:
    """The accident that the visit is about; None without `each`. One of unknown kind is none."""
    group = Group(mapping, "accident")
    converts = {"kind": _one_of("kind", ACCIDENTS), "happened_on": _civil_day, "state": text, "claim_number": text}
    fields = _mapped(mapping, "accident", converts)
    if not group.paths or not fields:
        return None
    section = Section(*map(Slot, fields.values()))

    def read(reading: Reading) -> Accident | None:
        for item in group.items(reading):
            found = dict(zip(fields, section.read(*item, reading), strict=True))
            happened_on = found.pop("happened_on", None)
            if found.get("kind"):
                return Accident(on=happened_on, **found)
        return None

    return read


def _compile_guarantor(mapping: Mapping) -> Callable[[Reading], Guarantor | None] | None:
    """Who answers for the account of the visit; None without `each`. A guarantor without a family name is none."""
    group = Group(mapping, "guarantor")
    converts: dict[str, Any] = dict.fromkeys(("family", "given", "sex", "phone", "relationship"), text)
    converts["birth_date"] = lambda raw, _reading: values.birth_date(raw)
    converts["address"] = lambda raw, _reading: values.address(raw)
    fields = _mapped(mapping, "guarantor", converts)
    if not group.paths or not fields:
        return None
    table = _words_for(mapping, fields)
    section = Section(*map(Slot, fields.values()))

    def read(reading: Reading) -> Guarantor | None:
        for item in group.items(reading):
            found = dict(zip(fields, section.read(*item, reading), strict=True))
            if found.get("family"):
                return Guarantor(**{**found, "relationship": table.get(found.get("relationship") or "")})
        return None

    return read


def _words_for(mapping: Mapping, fields: dict[str, Field]) -> dict[str, str]:
    """Our words for what a guarantor is to the patient; one that is not there is left out: it decides about no charge."""
    spec = mapping.spec.guarantor.relationship
    if spec is None or not spec.lookup:
        return {}
    fields["relationship"] = compile_field(mapping, "guarantor", "relationship", text, grave=False, own_lookup=True)
    return {word: ours for word, ours in mapping.spec.lookups.get(spec.lookup, {}).items() if isinstance(ours, str)}


def _mapped(mapping: Mapping, section: str, converts: dict[str, Any]) -> dict[str, Field]:
    """The fields of a section that the mapping names, by name; an unreadable value is a warning and stays absent."""
    spec = getattr(mapping.spec, section)
    named = [(name, convert) for name, convert in converts.items() if getattr(spec, name) is not None]
    grave = {"authorization_number"}  # the field of the visit that always held
    return {name: compile_field(mapping, section, name, convert, grave=name in grave) for name, convert in named}


def _civil_day(raw: Any, reading: Reading) -> date:
    return values.service_date(raw, reading.zone)


def _identity(raw: Any, _reading: Reading) -> str | None:
    return values.reference_id(raw) if raw.__class__ is dict else values.text(raw)


def _one_of(what: str, words: tuple[str, ...]) -> Callable[[Any, Reading], str]:
    def convert(raw: Any, _reading: Reading) -> str:
        if raw.__class__ is str and raw in words:
            return str(raw)
        raise values.Unreadable(f"{what} is not one of {', '.join(words)}")

    return convert
