"""Who must act on what is held: clinic, biller, integrator, or ptbridge itself."""

from __future__ import annotations

from collections.abc import Iterable

CLINIC, BILLER, INTEGRATOR, PTBRIDGE = "clinic", "biller", "integrator", "ptbridge"

# Finding codes by the letters they start with; the clinic owns the rest: its notes, its patients, its decisions.
_BY_CODE = {
    "SB01": BILLER,
    "SB02": BILLER,
    "SB04": PTBRIDGE,  # nobody: it waits for the payer, and goes by itself
    "SB06": PTBRIDGE,  # it goes by itself after the other day
    "RJ02": BILLER,
    "ED90": PTBRIDGE,
    "MP01": INTEGRATOR,
    "MP02": INTEGRATOR,
}
# Held for nothing else, a day needs nobody: it waits for the payer's answer, or for the other day, which has a task of its own.
BY_ITSELF = frozenset({"SB04", "SB06"})
_BY_DELIVERY = {"in-doubt": BILLER, "attempts-exhausted": BILLER, "restored": BILLER}
_FIRST = (PTBRIDGE, INTEGRATOR, BILLER, CLINIC)


def owner_of(codes: Iterable[str]) -> str:
    """Who must act on a day held by these finding codes: the clinic where anything is the clinic's to decide."""
    owners = {_BY_CODE.get(code, CLINIC) for code in codes}
    return max(owners, key=_FIRST.index, default=CLINIC)


def goes_by_itself(reason: str) -> bool:
    """Whether a day held for this reason (finding codes, or a word of the delivery's) needs nobody."""
    return bool(reason) and BY_ITSELF.issuperset(reason.split())


def delivery_owner(reason: str, native_code: str) -> str:
    """Who must act on what delivery gave up: `reason` as the ledger has it, and the last answer's native code.

    A rejection that names a fact is the clinic's to correct; a bare HTTP status is a misunderstanding between two programs; a
    Python exception is a fault of a destination's own code.
    """
    if native_code.endswith(("Error", "Exception")):
        return PTBRIDGE
    kind, _, word = reason.partition(":")
    if kind == "rejected":
        return INTEGRATOR if word.isdecimal() or not word else CLINIC
    return _BY_DELIVERY.get(kind, CLINIC)
