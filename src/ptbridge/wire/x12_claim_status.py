"""277CA (005010X214): what a clearinghouse or a payer says of each claim at its door, before adjudication."""

from __future__ import annotations

from dataclasses import dataclass, field

from ptbridge.wire.x12 import Segment, Transaction, iso_date


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One STC: up to three `category:status:entity` word for word, and STC03: `WQ` accepted, `U` rejected."""

    codes: tuple[str, ...]
    action: str
    said_at: str  # STC02 as 2026-11-02
    text: str = field(default="", repr=False)  # STC12

    @property
    def rejects(self) -> bool:
        """STC03 says so; where it says nothing, a category that turns away (A3, A4, A6, A7, A8, R… and E…)."""
        if self.action in ("U", "WQ"):
            return self.action == "U"
        return any(code.startswith(("A3", "A4", "A6", "A7", "A8", "R", "E")) for code in self.codes)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStatus:
    """One SVC loop. `control` is our line control number (REF*FJ)."""

    control: str
    procedure: str
    statuses: tuple[Status, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimStatus:
    """One claim (2200D), or with an empty `control` a whole batch or provider that was answered at once.

    `by_payer`: the payer says it (2100A NM1*PR); else a clearinghouse (NM1*AY). `batch` is the BHT03 of our file.
    """

    control: str = field(repr=False)
    batch: str
    by_payer: bool
    source: str  # NM109 of 2100A
    payer_claim_number: str = field(default="", repr=False)
    clearinghouse_number: str = ""
    statuses: tuple[Status, ...] = ()
    lines: tuple[LineStatus, ...] = ()


@dataclass(slots=True)
class _Open:
    """The HL loop that is being read."""

    level: str
    by_payer: bool
    source: str
    batch: str
    control: str = ""
    numbers: dict[str, str] = field(default_factory=dict)
    statuses: list[Status] = field(default_factory=list)
    lines: list[tuple[Segment, list[Status], dict[str, str]]] = field(default_factory=list)

    def finished(self) -> ClaimStatus | None:
        """What the loop says; None when it says nothing of a claim or of a whole batch."""
        if self.level not in ("PT", "21", "19") or not (self.statuses or self.lines):
            return None
        return ClaimStatus(
            control=self.control if self.level == "PT" else "",
            batch=self.batch,
            by_payer=self.by_payer,
            source=self.source,
            payer_claim_number=self.numbers.get("1K", ""),
            clearinghouse_number=self.numbers.get("D9", ""),
            statuses=tuple(self.statuses),
            lines=tuple(
                LineStatus(control=numbers.get("FJ", ""), procedure=svc.get(1, 2), statuses=tuple(statuses))
                for svc, statuses, numbers in self.lines
            ),
        )


def read_277ca(transaction: Transaction) -> list[ClaimStatus]:
    """Every claim, batch and provider that it speaks of, in order. A 277 of another kind gives what of this it has."""
    found: list[ClaimStatus] = []
    now = _Open("", False, "", "")
    for segment in transaction.segments():
        if segment.id in ("HL", "SE"):
            if (told := now.finished()) is not None:
                found.append(told)
            now = _Open(segment.get(3), now.by_payer, now.source, now.batch)
        elif segment.id == "TRN" and segment.get(1) == "2" and now.level == "PT" and now.control:
            if (told := now.finished()) is not None:  # a second claim of the same patient
                found.append(told)
            now = _Open(now.level, now.by_payer, now.source, now.batch, segment.get(2))
        else:
            _take(now, segment)
    return found


def _take(now: _Open, segment: Segment) -> None:
    match segment.id:
        case "NM1" if now.level == "20":
            now.by_payer, now.source = segment.get(1) == "PR", segment.get(9)
        case "TRN" if segment.get(1) == "2" and now.level == "21":
            now.batch = segment.get(2)
        case "TRN" if segment.get(1) == "2" and now.level == "PT":
            now.control = segment.get(2)
        case "STC":
            (now.lines[-1][1] if now.lines else now.statuses).append(_status(segment))
        case "SVC":
            now.lines.append((segment, [], {}))
        case "REF":
            (now.lines[-1][2] if now.lines else now.numbers).setdefault(segment.get(1), segment.get(2))


def _status(stc: Segment) -> Status:
    composites = [stc.elements[at] for at in (1, 10, 11) if at < len(stc.elements)]
    parts = [[part.strip() for part in composite.split(stc.component)[:3]] for composite in composites]
    return Status(
        codes=tuple(":".join(one).rstrip(":") for one in parts if any(one)),
        action=stc.get(3),
        said_at=iso_date(stc.get(2)),
        text=stc.get(12),
    )
