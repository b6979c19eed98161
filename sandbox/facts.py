"""What searches need to know of a resource, read without trusting its shape: odd records are served, not judged."""

from __future__ import annotations

from datetime import tzinfo

from .charting import Resource
from .fhir_time import Range, period_range, readable_range

_DATE_FIELDS = (
    "period",
    "performedPeriod",
    "performedDateTime",
    "occurrencePeriod",
    "occurrenceDateTime",
    "recordedDate",
    "date",
)


def reference_id(reference: object) -> str | None:
    """`Patient/1`, `https://…/Patient/1/_history/2` or `{"reference": …}` as `1`; None when it names nothing."""
    text = reference.get("reference") if isinstance(reference, dict) else reference
    if not isinstance(text, str):
        return None
    return text.partition("/_history/")[0].rpartition("/")[2] or None


def patient_id(resource: Resource) -> str | None:
    """The patient that a resource is about."""
    if resource["resourceType"] == "Appointment":
        return next((reference_id(actor) for actor in actors(resource) if "Patient/" in actor), None)
    for name in ("subject", "patient", "beneficiary"):
        found = reference_id(resource.get(name))
        if found is not None:
            return found
    return None


def actors(resource: Resource) -> list[str]:
    """References of an Appointment's participants."""
    participants = resource.get("participant")
    found = [entry.get("actor") for entry in participants if isinstance(entry, dict)] if isinstance(participants, list) else []
    return [actor["reference"] for actor in found if isinstance(actor, dict) and isinstance(actor.get("reference"), str)]


def encounter_ids(resource: Resource) -> tuple[str, ...]:
    """The Encounters that a resource refers to."""
    context = resource.get("context")
    inner = context.get("encounter") if isinstance(context, dict) else None
    named = [resource.get("encounter"), context, *(inner if isinstance(inner, list) else [inner])]
    return tuple(found for found in (reference_id(reference) for reference in named) if found)


def date_of(resource: Resource, zone: tzinfo) -> Range | None:
    """The range that the resource's `date` search parameter compares with; None when it has none that can be read."""
    if "start" in resource:  # Appointment
        return period_range(resource["start"], resource.get("end"), zone)
    for name in _DATE_FIELDS:
        value = resource.get(name)
        if isinstance(value, dict):
            return period_range(value.get("start"), value.get("end"), zone)
        if value is not None:
            return readable_range(value, zone)
    return None


def version_of(meta: object) -> int:
    """`meta.versionId` as a number, 1 when it is none."""
    text = meta.get("versionId") if isinstance(meta, dict) else None
    return int(text) if isinstance(text, str) and text.isdigit() else 1
