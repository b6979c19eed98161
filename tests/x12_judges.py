"""Whether a file is right X12: by pyx12 (the guide's own map), by x12sdk (typed models), and by what both of them miss."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pyx12.params
import pyx12.x12n_document
from x12sdk.io import X12ModelReader


def complaints(raw: bytes) -> list[str]:
    """What is wrong with an 837P file, by all three judges. Empty: right."""
    return [*by_pyx12(raw), *by_x12sdk(raw), *by_us(raw)]


def by_pyx12(raw: bytes) -> list[str]:
    """Errors of the guide's map, from the 999 that pyx12 writes; it reads 837P, 999, 277CA and 835."""
    logging.getLogger("pyx12").setLevel(logging.CRITICAL)
    answer, found = io.StringIO(), io.StringIO()
    parameters = pyx12.params.ParamsBase()
    right = pyx12.x12n_document.x12n_document(parameters, io.StringIO(raw.decode()), answer, None, fd_json=found)
    if right:
        return []
    said = [line for line in answer.getvalue().split("~") if line.strip().startswith(("IK3", "IK4", "IK5*R", "AK9*R", "TA1"))]
    return [f"pyx12: {line.strip()}" for line in said] or [f"pyx12: {json.dumps(found.getvalue())[:300]}"]


def by_x12sdk(raw: bytes) -> list[str]:
    """Errors of the typed models, one transaction at a time."""
    try:
        with X12ModelReader(raw.decode()) as reader:
            return [] if list(reader.models()) else ["x12sdk: no transaction"]
    except Exception as error:
        return [f"x12sdk: {type(error).__name__} {' '.join(str(error).split())[:300]}"]


def by_us(raw: bytes) -> Iterator[str]:
    """What the two miss: NPI digits, pointers past the diagnoses, a fifth modifier, a dotted code, sums, line numbers."""
    claim: dict[str, object] = {}
    for text in (one.strip() for one in raw.decode().split("~")):
        elements = text.split("*")
        if elements[0] in ("CLM", "SE") and claim:
            yield from _sums(claim)
            claim = {}
        if elements[0] == "CLM":
            claim = {"total": elements[2], "lines": [], "controls": [], "codes": 0, "frequency": elements[5][-1], "f8": False}
            if len(elements[1]) > 17:
                yield "ours: CLM01 is longer than 17"
        elif elements[0] == "REF" and elements[1] == "F8" and claim:
            claim["f8"] = True
        elif elements[0] == "REF" and elements[1] == "6R":
            claim["controls"].append(elements[2])  # type: ignore[attr-defined]
        elif elements[0] == "HI":
            claim["codes"] = len(elements) - 1
            yield from (f"ours: {code} has a dot" for code in elements[1:] if "." in code)
        elif elements[0] == "NM1" and len(elements) > 9 and elements[8] == "XX" and not _npi(elements[9]):
            yield f"ours: NM1*{elements[1]} has no NPI"
        elif elements[0] == "SV1":
            yield from _line(elements, claim)


def _line(elements: list[str], claim: dict[str, object]) -> Iterator[str]:
    claim["lines"].append(elements[2])  # type: ignore[attr-defined]
    parts = elements[1].split(":")
    if not re.fullmatch(r"HC:[A-Z0-9]{5}(:[A-Z0-9]{2}){0,4}", elements[1]):
        yield f"ours: SV101 has {len(parts)} parts, or one of a wrong form"
    pointers = [int(one) for one in elements[7].split(":") if one]
    if not 1 <= len(pointers) <= 4 or any(not 1 <= one <= claim["codes"] for one in pointers):  # type: ignore[operator]
        yield f"ours: pointers {pointers} of {claim['codes']} diagnoses"


def _sums(claim: dict[str, object]) -> Iterator[str]:
    lines: list[str] = claim["lines"]  # type: ignore[assignment]
    controls: list[str] = claim["controls"]  # type: ignore[assignment]
    if round(sum(float(one) for one in lines) * 100) != round(float(str(claim["total"])) * 100):
        yield f"ours: CLM02 {claim['total']} is not the sum of its lines"
    if len(lines) > 50 or len(set(controls)) != len(lines) or any(len(one) > 30 for one in controls):
        yield "ours: more than 50 lines, or line control numbers that are not one for each line"
    if (claim["frequency"] == "1") == claim["f8"]:
        yield f"ours: frequency {claim['frequency']} and REF*F8 do not fit"


def _npi(text: str) -> bool:
    digits = [int(one) for one in f"80840{text}"]
    for at in range(len(digits) - 2, -1, -2):
        digits[at] = sum(divmod(digits[at] * 2, 10))
    return len(text) == 10 and sum(digits) % 10 == 0
