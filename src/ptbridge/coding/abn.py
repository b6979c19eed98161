"""GA, GX, GY, GZ: what a payer's file lists as excluded or as an expected denial, and whether an ABN was signed in time.

An Advance Beneficiary Notice counts when it was signed on or before the service date. GZ is denied without review and leaves
the patient free of the charge, so it is never added without a person. Sources: CMS Pub. 100-04, ch. 30; NGS and Palmetto GBA.
"""

from __future__ import annotations

from datetime import date

from ptbridge.coding import findings as kinds
from ptbridge.coding.draft import Draft
from ptbridge.model import ServiceLine

ABN_MODIFIERS = frozenset({"GA", "GX", "GY", "GZ"})


def add_abn_modifiers(draft: Draft) -> None:
    """Offer the modifier that each listed line needs; a line that carries one of the four already keeps it as it is."""
    terms, on = draft.terms, draft.day.service_date
    if terms.abn_modifiers in (None, "none") or on is None:
        return
    listed = terms.statutory_codes | terms.denial_expected_codes
    places = [place for place, line in enumerate(draft.lines) if line.procedure in listed]
    for place in places:
        _offer(draft, place, on)
    if not places and any(visit.abn_signed_on for visit in draft.day.visits):
        draft.findings.append(kinds.ABN_UNUSED("an ABN is on file, and no code of this day is listed as an expected denial"))


def _offer(draft: Draft, place: int, on: date) -> None:
    line, terms = draft.lines[place], draft.terms
    if not ABN_MODIFIERS.isdisjoint(line.modifiers):
        return
    signed = _signed(draft, line, on)
    mode = terms.abn_modifiers or "propose"
    if line.procedure in terms.statutory_codes:
        why = f"excluded by law ({terms.sources['statutory_codes']})"
        if signed:
            draft.offer(mode, kinds.ABN_MODIFIER, [place], "GX", f"{why}; a voluntary ABN is on file -> GX with GY")
        draft.offer(mode, kinds.ABN_MODIFIER, [place], "GY", f"{why} -> GY")
        return
    why = f"a denial as not necessary is expected ({terms.sources['denial_expected_codes']})"
    if "KX" in line.modifiers:
        message = f"{line.procedure} carries KX, which attests necessity, and {why}"
        draft.findings.append(kinds.KX_CONTRADICTED(message, at=draft.at(line)))
    elif signed:
        draft.offer(mode, kinds.ABN_MODIFIER, [place], "GA", f"{why}; an ABN was signed by {on} -> GA")
    else:
        draft.offer("propose", kinds.ABN_MODIFIER, [place], "GZ", f"{why}; no ABN was signed by {on} -> GZ or not billed")


def _signed(draft: Draft, line: ServiceLine, on: date) -> bool:
    return any(visit.abn_signed_on is not None and visit.abn_signed_on <= on for visit, _ in draft.documentation(line))
