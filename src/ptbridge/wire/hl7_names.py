"""What HL7 v2 calls its segments and fields (the latter from hl7apy's tables), and which of them may be shown to anybody."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

NEWEST = "2.8.2"
VERSIONS = ("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.8", "2.8.1", NEWEST)

SEGMENTS = {
    "ACC": "Accident",
    "AIG": "Appointment, general resource",
    "AIL": "Appointment, location",
    "AIP": "Appointment, personnel",
    "AIS": "Appointment, service",
    "AL1": "Allergy",
    "BHS": "Batch header",
    "BTS": "Batch trailer",
    "DG1": "Diagnosis",
    "DRG": "Diagnosis related group",
    "ERR": "Error",
    "EVN": "Event type",
    "FHS": "File header",
    "FT1": "Financial transaction",
    "FTS": "File trailer",
    "GT1": "Guarantor",
    "IN1": "Insurance",
    "IN2": "Insurance, additional",
    "IN3": "Insurance, certification",
    "MRG": "Merge patient information",
    "MSA": "Message acknowledgement",
    "MSH": "Message header",
    "NK1": "Next of kin",
    "NTE": "Notes and comments",
    "OBR": "Observation request",
    "OBX": "Observation result",
    "ORC": "Common order",
    "PD1": "Patient, additional demographics",
    "PID": "Patient identification",
    "PR1": "Procedures",
    "PRT": "Participation",
    "PV1": "Patient visit",
    "PV2": "Patient visit, additional",
    "ROL": "Role",
    "SCH": "Scheduling activity",
    "TXA": "Transcription document header",
}

# Fields that say nothing about who the patient is. What is not listed is masked, Z segments and free text above all.
_SHOWN: dict[str, frozenset[int] | None] = {  # None: the whole segment
    "ACC": frozenset({2, 4, 5}),
    "AIG": frozenset({1, 2}),
    "AIL": frozenset({1, 2}),
    "AIP": frozenset({1, 2}),
    "AIS": frozenset({1, 2, 3, 4, 7, 8, 10}),
    "BHS": None,
    "BTS": None,
    "DG1": frozenset({1, 2, 3, 5, 6, 15, 16, 21}),
    "DRG": None,
    "ERR": None,
    "EVN": frozenset({1, 2, 3, 4, 6}),
    "FHS": None,
    "FT1": frozenset({1, 3, *range(4, 9), *range(10, 15), 16, 17, 18, 19, 20, 21, 24, 25, 26, 29, 32}),
    "FTS": None,
    "IN1": frozenset({1, 2, 3, 4, 12, 13, 15, 17, 20, 21, 22, 35}),
    "MSA": None,
    "MSH": None,
    "OBR": frozenset({1, 4, 7, 8, 22, 24, 25}),
    "OBX": frozenset({1, 2, 3, 4, 6, 11}),
    "ORC": frozenset({1, 5, 9, 12, 16}),
    "PID": frozenset({1}),
    "PR1": frozenset({1, 2, 3, 5, 6, 7, 11, 12, 14, 15, 16}),
    "PV1": frozenset({1, 2, 3, 4, 7, 8, 9, 10, 14, 15, 17, 18, 36, 39, 41, 44, 45}),
    "ROL": frozenset({1, 2, 3, 4}),
    "SCH": frozenset({6, 7, 8, 9, 10, 25}),
    "TXA": frozenset({1, 2, 3, 4, 17, 18, 19}),
}


def segment_name(segment: str) -> str:
    """What the standard calls a segment; a Z segment is the sender's own."""
    return SEGMENTS.get(segment, "of the sender's own" if segment.startswith("Z") else "")


def is_shown(segment: str, position: int) -> bool:
    """Whether a field says nothing about who the patient is."""
    positions = _SHOWN.get(segment, frozenset())
    return positions is None or position in positions


@cache
def field_name(segment: str, position: int, version: str | None) -> str:
    """`Patient name` for (PID, 5), by the message's version and else the newest; empty where the tables have none."""
    for known in dict.fromkeys((version if version in VERSIONS else NEWEST, NEWEST)):
        found = _reference(f"{segment}_{position}", known)
        if found:
            words = re.sub(r"(\w) s\b", r"\1's", str(found[3]).replace("_", " ").lower())
            return words[:1].upper() + words[1:]
    return ""


def _reference(field: str, version: str) -> Any:
    """hl7apy's row of a field: (kind, children, data type, long name, table, length); None when there is none."""
    from hl7apy import load_reference  # 30 ms, and only for people
    from hl7apy.exceptions import HL7apyException

    try:
        return load_reference(field, "Field", version)
    except HL7apyException:
        return None
