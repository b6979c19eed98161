"""A claim that was turned away or not paid, as a finding that holds its day until a person or a correction settles it.

RJ01: rejected before adjudication: the payer has no claim of it (277CA, 005010X214: corrected, it goes again as frequency 1).
RJ02: denied: the payer has it and paid nothing or not this line (835, 005010X221A1: it is appealed, or replaced).
"""

from __future__ import annotations

from ptbridge.ledger import Refusal, RefusedPart
from ptbridge.model import Finding, Frequency, Severity, Standing

RJ01 = "RJ01"
RJ02 = "RJ02"
REFUSALS = frozenset({RJ01, RJ02})
CODES_SHOWN = 12

MEANINGS = {
    RJ01: "rejected before adjudication: the payer has no claim of it",
    RJ02: "denied: the payer has the claim and did not pay it, or not this line",
}
FIXES = {
    RJ01: "Clinic: correct the cause at its source; the corrected day goes by itself. Where nothing here was wrong, "
    "`ptbridge release ID --reason` says so: what can go again as it is goes, the rest stays as the biller has it.",
    RJ02: "Biller: appeal it, or have the clinic correct the note: the corrected day goes as a replacement. Where it stays as "
    "it is, `ptbridge release ID --reason` settles it here; nothing is sent.",
}
SOURCES = {
    RJ01: "X12 277CA (005010X214): what it rejects never reached adjudication; corrected, it goes as frequency 1",
    RJ02: "X12 835 (005010X221A1): CLP02 and the adjustment codes of the payer (CARC, RARC)",
}
_VOID_FIX = "Biller: have the claim voided at the payer, who still has it; then `ptbridge release ID --reason`."
_LOOK = " Where the biller has something else than this correction, or nothing: `ptbridge settle ID` takes your word for it."


def refusal_finding(refusal: Refusal) -> Finding:
    """The finding: native codes word for word, each with its line, and the findings that let it through."""
    code = RJ01 if refusal.standing is Standing.REJECTED else RJ02
    what = "the void of this charge (frequency 8)" if refusal.frequency is Frequency.VOID else "what was sent"
    passed = f"; it went with {', '.join(refusal.let_through)}" if refusal.let_through else "; no edit had anything to say"
    parts = "; ".join(_part(part) for part in refusal.parts)
    return Finding(
        code=code,
        severity=Severity.ERROR,
        message=f"{what} was {refusal.standing.value} ({refusal.stage.value}): {parts}{passed}",
        fix=_fix(refusal, code),
    )


def _fix(refusal: Refusal, code: str) -> str:
    if refusal.frequency is Frequency.ORIGINAL:
        return FIXES[code]
    return (_VOID_FIX if refusal.frequency is Frequency.VOID else FIXES[code]) + _LOOK


def _part(part: RefusedPart) -> str:
    """`line 2, 97110: CARC 197, RARC N56`; texts of the other side stay out, for they may name a patient."""
    where = "the whole claim" if part.line is None else f"line {part.line}"
    if part.procedure:
        where += f", {part.procedure}"
    codes = ", ".join(f"{code.system} {code.code}" for code in part.codes[:CODES_SHOWN])
    return f"{where}: {codes or 'no code was given'}"
