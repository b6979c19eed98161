"""835 (005010X221A1): what a payer decided of each claim and line, what it paid, and whether its sums agree.

Sums (005010X221A1, section 1.10.2): a line's charge less its adjustments is what was paid for it; a claim's charge less all
adjustments of claim and lines is what was paid for it; all claims less the provider's adjustments (PLB) is the payment (BPR02).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ptbridge.errors import RecordError
from ptbridge.wire.x12 import Segment, Transaction, cents, iso_date

_TRIPLETS = range(2, 20, 3)  # CAS02 to CAS19: reason, amount, quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """One reason of a CAS: group (CO, PR, OA, PI, CR), CARC, and cents; positive lowers the payment."""

    group: str
    reason: str
    cents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePayment:
    """One SVC loop. `control` is our line control number (REF*6R)."""

    control: str
    procedure: str
    charged_cents: int
    paid_cents: int
    adjustments: tuple[Adjustment, ...]
    remarks: tuple[str, ...]  # RARC, LQ*HE
    service_date: str

    @property
    def balances(self) -> bool:
        """Charge less adjustments is what was paid."""
        return self.charged_cents - sum(one.cents for one in self.adjustments) == self.paid_cents


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimPayment:
    """One CLP loop. `status` is CLP02; `frequency` CLP09, empty when it is not said."""

    control: str = field(repr=False)
    status: str
    charged_cents: int
    paid_cents: int
    patient_cents: int
    payer_claim_number: str = field(repr=False)
    frequency: str
    adjustments: tuple[Adjustment, ...]  # of the whole claim, the lines' own not among them
    remarks: tuple[str, ...]  # RARC, MOA and MIA
    lines: tuple[LinePayment, ...]
    raw: str = field(repr=False)  # its segments as they came, to name this news by its content

    @property
    def all_adjustments(self) -> tuple[Adjustment, ...]:
        """The claim's and its lines'."""
        return (*self.adjustments, *(one for line in self.lines for one in line.adjustments))

    @property
    def balances(self) -> bool:
        """Charge less all adjustments is what was paid, and so in each line."""
        whole = self.charged_cents - sum(one.cents for one in self.all_adjustments) == self.paid_cents
        return whole and all(line.balances for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remittance:
    """One 835."""

    trace: str  # TRN02: the cheque or transfer
    payer: str  # N104 or TRN03
    paid_cents: int  # BPR02
    said_at: str  # BPR16, else DTM*405
    claims: tuple[ClaimPayment, ...]
    provider_adjustments: tuple[tuple[str, int], ...]  # PLB: reason, cents; positive lowers the payment

    @property
    def difference_cents(self) -> int:
        """What the payment lacks of claims less provider adjustments; 0 when it balances."""
        claims = sum(claim.paid_cents for claim in self.claims)
        return claims - sum(amount for _, amount in self.provider_adjustments) - self.paid_cents


@dataclass(slots=True)
class _Line:
    svc: Segment
    adjustments: list[Adjustment] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    control: str = ""
    date: str = ""


@dataclass(slots=True)
class _Claim:
    clp: Segment
    adjustments: list[Adjustment] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    lines: list[_Line] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def read_835(transaction: Transaction) -> Remittance:
    """One 835. Raises RecordError where an amount cannot be read: then none of it counts."""
    bpr = trn = date = payer = ""
    paid = 0
    claims: list[_Claim] = []
    provider: list[tuple[str, int]] = []
    for segment in transaction.segments():
        match segment.id:
            case "BPR":
                bpr, paid, date = "BPR", _cents(segment, 2), iso_date(segment.get(16))
            case "TRN" if not claims:
                trn, payer = segment.get(2), payer or segment.get(3)
            case "N1" if segment.get(1) == "PR" and not claims:
                payer = segment.get(4) or payer
            case "DTM" if segment.get(1) == "405" and not claims:
                date = date or iso_date(segment.get(2))
            case "CLP":
                claims.append(_Claim(segment))
            case "PLB":
                provider += _provider_adjustments(segment)
        if claims and segment.id not in ("LX", "TS2", "TS3", "PLB", "SE"):
            claims[-1].texts.append("*".join(segment.elements))
            _take(claims[-1], segment)
    if not bpr:
        raise RecordError("has no BPR segment: it says nothing of a payment.", where=f"835 {transaction.control}")
    return Remittance(
        trace=trn,
        payer=payer,
        paid_cents=paid,
        said_at=date,
        claims=tuple(map(_claim, claims)),
        provider_adjustments=tuple(provider),
    )


def _take(claim: _Claim, segment: Segment) -> None:
    """One segment behind the CLP."""
    line = claim.lines[-1] if claim.lines else None
    match segment.id:
        case "SVC":
            claim.lines.append(_Line(segment))
        case "CAS":
            (line.adjustments if line else claim.adjustments).extend(_adjustments(segment))
        case "MOA":
            claim.remarks += _codes(segment, range(3, 8))
        case "MIA":
            claim.remarks += _codes(segment, (5, 20, 21, 22, 23))
        case "REF" if line and segment.get(1) == "6R":
            line.control = segment.get(2)
        case "DTM" if line and segment.get(1) in ("472", "150"):
            line.date = iso_date(segment.get(2))
        case "LQ" if line and segment.get(1) == "HE":
            line.remarks.append(segment.get(2))


def _claim(one: _Claim) -> ClaimPayment:
    clp = one.clp
    return ClaimPayment(
        control=clp.get(1),
        status=clp.get(2),
        charged_cents=_cents(clp, 3),
        paid_cents=_cents(clp, 4),
        patient_cents=_cents(clp, 5, absent=0),
        payer_claim_number=clp.get(7),
        frequency=clp.get(9),
        adjustments=tuple(one.adjustments),
        remarks=tuple(one.remarks),
        lines=tuple(map(_line, one.lines)),
        raw="\n".join(one.texts),
    )


def _line(one: _Line) -> LinePayment:
    svc = one.svc
    return LinePayment(
        control=one.control,
        procedure=svc.get(1, 2),
        charged_cents=_cents(svc, 2),
        paid_cents=_cents(svc, 3, absent=0),
        adjustments=tuple(one.adjustments),
        remarks=tuple(one.remarks),
        service_date=one.date,
    )


def _adjustments(cas: Segment) -> Iterable[Adjustment]:
    for at in _TRIPLETS:
        if cas.get(at):
            yield Adjustment(group=cas.get(1), reason=cas.get(at), cents=_cents(cas, at + 1))


def _provider_adjustments(plb: Segment) -> list[tuple[str, int]]:
    return [(plb.get(at, 1), _cents(plb, at + 1)) for at in range(3, 15, 2) if plb.get(at)]


def _codes(segment: Segment, places: Iterable[int]) -> list[str]:
    read: Callable[[int], str] = segment.get
    return [code for at in places if (code := read(at))]


def _cents(segment: Segment, element: int, *, absent: int | None = None) -> int:
    text = segment.get(element)
    if not text and absent is not None:
        return absent
    read = cents(text)
    if read is None:
        raise RecordError(
            "an amount is missing or is no number.", where=f"{segment.id}{element:02d} at segment {segment.place}"
        )
    return read
