"""Loads the files that a person writes into their types, with what a type alone cannot check."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from ptbridge.specs.clinic import ClinicSpec
from ptbridge.specs.payer import SETTINGS, PayerSpec
from ptbridge.specs.type_check import Problem
from ptbridge.specs.yaml_text import convert, load

STANDINGS = ("complete", "starting_point")


def load_clinic(path: Path | str) -> ClinicSpec:
    """Read a clinic file. Raises ConfigError with every problem, an unknown time zone included."""
    document = load(path)
    spec = convert(document, ClinicSpec)
    try:
        ZoneInfo(spec.time_zone)
    except (KeyError, OSError, ValueError):  # zoneinfo raises each of them
        text = f"time_zone: {spec.time_zone!r} is not an IANA time zone. Write it as America/Chicago."
        raise document.refuse([Problem(("time_zone",), text)]) from None
    return spec


def load_payer(path: Path | str) -> PayerSpec:
    """Read a payer policy file. Raises ConfigError for an unknown setting or an entry that ends before it starts."""
    document = load(path)
    spec = convert(document, PayerSpec)
    found = [
        Problem(("settings", name), f"settings: unknown key {name!r}. Known keys: {', '.join(SETTINGS)}.")
        for name in spec.settings
        if name not in SETTINGS
    ]
    if spec.standing not in STANDINGS:
        found.append(Problem(("standing",), f"standing: {spec.standing!r} is not one of {', '.join(STANDINGS)}."))
    for name, entries in spec.settings.items():
        for index, entry in enumerate(entries):
            if entry.to is not None and entry.to < entry.from_:
                text = f"settings.{name}[{index}]: ends on {entry.to}, before it starts on {entry.from_}. Correct one."
                found.append(Problem(("settings", name, index), text))
    if found:
        raise document.refuse(found)
    return spec
