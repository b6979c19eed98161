"""KX: the running total of Medicare's allowed amounts against the year's therapy threshold.

What other clinics billed is unseen, so the total is always an "at least"; an imported eligibility answer raises it. KX attests
that services above the threshold are necessary and documented: it is proposed, and a person confirms. Sources: SSA 1833(g);
amounts by year in mappings/codes/therapy_thresholds.csv; CMS Pub. 100-04, ch. 5, section 10.3.
"""

from __future__ import annotations

from collections.abc import Sequence

from ptbridge.coding import findings as kinds
from ptbridge.coding.abn import ABN_MODIFIERS
from ptbridge.coding.draft import Draft
from ptbridge.model import ServiceLine, Severity, dollars
from ptbridge.policy import FeeSchedule
from ptbridge.policy.thresholds import kx_group, threshold_of

# The word in the allowed schedule's `modifiers` column for the amount after the multiple-procedure reduction.
REDUCED = "MPPR"
_DISCIPLINE = frozenset({"GP", "GO", "GN"})
_GROUP_WORDS = {"PT_SLP": "PT with SLP", "OT": "OT"}


def add_kx(draft: Draft) -> None:
    """Propose (or add) KX on the day's therapy lines once the total with this day passes the threshold.

    All therapy lines of that day get it, as CMS asked of institutional claims (MLN SE0637, 2006); for professional claims the
    split within the day is unverified. A line with GA, GY or GZ never does.
    """
    terms, on, known = draft.terms, draft.day.service_date, draft.known
    group = kx_group(draft.day.discipline)
    if terms.kx in (None, "none") or on is None or group is None:
        return
    therapy = [place for place, line in enumerate(draft.lines) if not _DISCIPLINE.isdisjoint(line.modifiers)]
    history = known.history
    if known.allowed is not None:
        shared = history is not None and any(line.discipline for line in history.lines_seen_by(terms.payer))
        draft.allowed_cents = allowed_cents(draft.lines, therapy, known.allowed, draft, shared)
    if history is None or not therapy:
        return
    if known.allowed is None and history.opening_cents is None:
        draft.findings.append(kinds.KX_NOT_TOLD("no allowed amounts are configured, so nobody counts to the threshold"))
        return
    total = (history.accrued_cents or 0) + (history.opening_cents or 0) + sum(cents or 0 for cents in draft.allowed_cents)
    _compare(draft, therapy, group, on.year, total)


def _compare(draft: Draft, therapy: list[int], group: str, year: int, total: int) -> None:
    terms = draft.terms
    spent = f"at least {dollars(total)} allowed in {year} with this day ({_GROUP_WORDS[group]})"
    limit = threshold_of(draft.known.reference, group, year)
    if limit is None:
        severity = Severity.ERROR if terms.kx_amount_unknown == "hold" else Severity.WARNING
        message = f"{spent}; the KX threshold of {year} is in no table, loaded or shipped"
        draft.findings.append(kinds.KX_AMOUNT_UNKNOWN(message, severity=severity))
        return
    if total <= limit.kx_cents:
        return
    never = ABN_MODIFIERS | {"KX"}
    lacking = [place for place in therapy if never.isdisjoint(draft.lines[place].modifiers)]
    because = f"{spent} is above {dollars(limit.kx_cents)} -> KX ({limit.cited})"
    draft.offer(terms.kx or "propose", kinds.KX_NEEDED, lacking, "KX", because)


def allowed_cents(
    lines: Sequence[ServiceLine], therapy: Sequence[int], schedule: FeeSchedule, draft: Draft, shared: bool
) -> tuple[int | None, ...]:
    """What Medicare allows for each line: the unit with the highest practice expense in full, every other one reduced.

    The reduction takes half of a unit's practice expense, so the largest difference between the two amounts names the
    unit that stays whole (100-04 ch. 5 section 10.7). `shared`: the patient's other discipline of that date has it already.
    Lines that are not therapy, or have no amount, are None.
    """
    on = draft.day.service_date
    assert on is not None
    amounts: list[int | None] = [None] * len(lines)
    whole: tuple[int, int, int] | None = None  # difference, full amount, place (the first of equals)
    for place in therapy:
        line = lines[place]
        full = schedule.price(line.procedure, line.modifiers, on)
        if full is None:
            continue
        reduced = schedule.price(line.procedure, (*line.modifiers, REDUCED), on)
        assert reduced is not None
        amounts[place] = reduced * line.units
        if whole is None or (full - reduced, full) > whole[:2]:
            whole = full - reduced, full, place
    if whole is not None and not shared:
        amounts[whole[2]] = (amounts[whole[2]] or 0) + whole[0]
    return tuple(amounts)
