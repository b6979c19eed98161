"""The units decided for a day, with the answers that the rule accepts and the reasons."""

from __future__ import annotations

from dataclasses import dataclass, field

from ptbridge.coding.documented import Procedure
from ptbridge.model import Finding
from ptbridge.policy.counting import Units

RULE_WORDS = {"eight_minute_total": "8-minute rule", "midpoint_each_code": "midpoint of each code"}


@dataclass(slots=True)
class Counted:
    """Units by code (zeros included), the answers the rule accepts (none: it could not be counted), and why."""

    units: dict[str, int] = field(default_factory=dict)
    acceptable: tuple[Units, ...] = ()
    because: dict[str, str] = field(default_factory=dict)  # by code
    day_because: tuple[str, ...] = ()
    findings: list[Finding] = field(default_factory=list)


def as_documented(procedures: list[Procedure], counted: Counted, why: str) -> None:
    """The EMR's units where it has them, so that every other check can still run; the day is held already."""
    for procedure in procedures:
        code = procedure.row.code
        if procedure.units is not None and procedure.units >= 0:
            counted.units[code] = procedure.units
            counted.because[code] = f"{why} -> {procedure.units} as documented"
        elif not procedure.row.timed:
            counted.units[code] = 1
            counted.because[code] = "untimed -> 1 unit"
