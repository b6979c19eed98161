"""The books of the sandbox clearinghouse and the payer behind it: every claim line that is live, and the auditor.

Pure bookkeeping. A submission says the whole of a treatment day (the first 15 characters of CLM01), in one claim or several.
Once it came in, the payer may have of each procedure of that day what it had before or what the submission says: more units
than the larger of both are a charge twice, and the auditor says so. It reads X12 by itself, with nothing of ptbridge's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

Segment = list[str]
DAY_PART = 15  # characters of CLM01 that name the treatment day


@dataclass(slots=True, kw_only=True)
class Line:
    """One SV1 with its control number; amounts in cents."""

    control: str
    procedure: str  # HC:97110:GP
    amount_cents: int
    units: int
    date: str = ""


@dataclass(slots=True, kw_only=True)
class Claim:
    """One CLM of a transaction set. `number` is the payer's, given when it is taken. `state`: live, replaced, void, refused."""

    control: str
    frequency: str
    names: str  # F8: the payer's number of what it corrects
    amount_cents: int
    batch: str  # BHT03
    npi: str
    filing: str
    payer: tuple[str, str]  # name, id
    patient: Segment = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    codes: int = 0
    number: str = ""
    state: str = "live"
    decided: bool = False

    @property
    def day(self) -> str:
        """The treatment day."""
        return self.control[:DAY_PART]


class Unreadable(Exception):
    """This is no whole 837 file; the text says why."""


def segments_of(raw: bytes) -> list[Segment]:
    """An interchange's segments. Raises Unreadable for what is cut off or miscounted."""
    text = raw.decode("ascii")
    if len(text) < 106 or not text.startswith("ISA") or not text.endswith("~"):
        raise Unreadable("half a file: no ISA, or nothing ends it")
    found = [one.split(text[3]) for one in text.split("~")[:-1]]
    if found[-1][0] != "IEA" or found[-1][2] != found[0][13] or found[-1][1] != "1":
        raise Unreadable("half a file: no IEA that fits")
    starts = [at for at, one in enumerate(found) if one[0] == "ST"]
    ends = [at for at, one in enumerate(found) if one[0] == "SE"]
    if len(starts) != len(ends) or any(int(found[end][1]) != end - start + 1 for start, end in zip(starts, ends, strict=True)):
        raise Unreadable("SE counts otherwise")
    return found


def transactions_of(segments: list[Segment]) -> Iterator[tuple[str, list[Segment]]]:
    """ST02 and the segments of each transaction set."""
    start = 0
    for at, one in enumerate(segments):
        if one[0] == "ST":
            start = at
        elif one[0] == "SE":
            yield segments[start][2], segments[start : at + 1]


def claims_of(segments: list[Segment]) -> list[Claim]:
    """The claims of one transaction set."""
    found: list[Claim] = []
    seen: dict[str, Segment] = {}
    for one in segments:
        if one[0] in ("BHT", "SBR") or (one[0] == "NM1" and one[1] in ("85", "IL", "PR", "QC")):
            seen[one[0] if one[0] != "NM1" else one[1]] = one
        elif one[0] == "CLM":
            found.append(_claim(one, seen))
        elif found:
            _add(found[-1], one)
    return found


def _claim(clm: Segment, seen: dict[str, Segment]) -> Claim:
    insured = seen["IL"]
    name = [*seen.get("QC", insured), ""][3:5]  # the patient's own, who may be on another person's insurance
    return Claim(
        control=clm[1],
        frequency=clm[5].split(":")[2],
        names="",
        amount_cents=_cents(clm[2]),
        batch=seen["BHT"][3],
        npi=seen["85"][9],
        filing=seen["SBR"][9],
        payer=(seen["PR"][3], seen["PR"][9]),
        patient=[*insured[:3], *name, *insured[5:]],
    )


def _add(claim: Claim, one: Segment) -> None:
    if one[:2] == ["REF", "F8"]:
        claim.names = one[2]
    elif one[0] == "HI":
        claim.codes = len(one) - 1
    elif one[0] == "SV1":
        claim.lines.append(Line(control="", procedure=one[1], amount_cents=_cents(one[2]), units=int(one[4])))
    elif one[:2] == ["DTP", "472"]:
        claim.lines[-1].date = one[3]
    elif one[:2] == ["REF", "6R"]:
        claim.lines[-1].control = one[2]


def _cents(text: str) -> int:
    match = re.fullmatch(r"(\d+)(?:\.(\d{1,2}))?", text)
    if match is None:
        raise Unreadable("an amount that is none")
    return int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0"))


@dataclass(slots=True, kw_only=True)
class Books:
    """All claims. `violations` is what the auditor found; it stays empty at a clearinghouse that is fed well."""

    strict: bool = True  # False: a second original is taken, as a payer without duplicate check would
    claims: list[Claim] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    _most: dict[str, Counter[str]] = field(default_factory=dict)

    def live(self) -> list[Claim]:
        """What the payer has."""
        return [claim for claim in self.claims if claim.state == "live"]

    def totals(self) -> dict[str, int]:
        """Live claims, lines, units and cents."""
        lines = [line for claim in self.live() for line in claim.lines]
        return {
            "claims": len(self.live()),
            "lines": len(lines),
            "units": sum(line.units for line in lines),
            "amount_cents": sum(line.amount_cents for line in lines),
        }

    def opened(self, control: str) -> bool:
        """An interchange comes in; False when its control number came before."""
        if control in self.files:
            self.violations.append(f"interchange {control} came twice")
            return False
        self.files.add(control)
        return True

    def comes(self, claims: list[Claim]) -> None:
        """One submission comes in: until the next, the payer may have of each procedure what it had or what this says."""
        for day in {claim.day for claim in claims}:
            says = _units(claim for claim in claims if claim.day == day and claim.frequency != "8")
            self._most[day] = says | self._has(day)

    def _has(self, day: str) -> Counter[str]:
        return _units(claim for claim in self.claims if claim.state == "live" and claim.day == day)

    def take(self, claim: Claim) -> str:
        """Take one claim; the 277CA status code when it is refused, else empty."""
        refused = self._wrong(claim) or (self._original(claim) if claim.frequency == "1" else self._correction(claim))
        claim.state = "refused" if refused else "void" if claim.frequency == "8" else "live"
        if not refused:
            claim.number = f"ICN{len(self.claims) + 1:08d}"
        self.claims.append(claim)
        self._audit(claim.day)
        return refused

    def _wrong(self, claim: Claim) -> str:
        if sum(line.amount_cents for line in claim.lines) != claim.amount_cents:
            return "A7:178"  # submitted charges
        if not claim.lines or len(claim.lines) > 50 or not 1 <= claim.codes <= 12 or claim.frequency not in "178":
            return "A7:732"  # information submitted inconsistent
        return ""

    def _original(self, claim: Claim) -> str:
        double = self._twice(claim.day, self._has(claim.day) + _units([claim]))
        if double:
            self.violations.append(f"a second original of {claim.day}: {min(double)}")
        return "A3:54" if double and self.strict else ""  # duplicate of a previously processed claim

    def _correction(self, claim: Claim) -> str:
        before = next((one for one in self.live() if one.number == claim.names), None)
        if before is None:
            return "A3:464"  # payer assigned claim control number
        before.state = "void" if claim.frequency == "8" else "replaced"
        return ""

    def _audit(self, day: str) -> None:
        self.violations += [f"{day}: {one} is charged twice" for one in sorted(self._twice(day, self._has(day)))]

    def _twice(self, day: str, units: Counter[str]) -> Counter[str]:
        """What is more than the payer may have."""
        return units - self._most.get(day, Counter())


def _units(claims: Iterable[Claim]) -> Counter[str]:
    """By procedure, whatever its modifiers."""
    found: Counter[str] = Counter()
    for line in (line for claim in claims for line in claim.lines):
        found[line.procedure.split(":")[1]] += line.units
    return found
