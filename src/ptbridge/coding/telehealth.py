"""95, 93 or GT on lines of a telehealth visit, as the payer's file says. The place of service stays the EMR's own.

Therapists may bill Medicare telehealth through 2027-12-31 (Consolidated Appropriations Act, 2026); NGS asks for 95.
"""

from __future__ import annotations

from ptbridge.coding import findings as kinds
from ptbridge.coding.draft import Draft

TELEHEALTH_MODIFIERS = frozenset({"95", "93", "GT", "GQ", "FQ"})


def add_telehealth(draft: Draft) -> None:
    """Add the modifier to each line furnished wholly by video or wholly by audio; one that the EMR gives stays alone."""
    if all(visit.telehealth is None for visit in draft.day.visits):
        return
    for place, line in enumerate(draft.lines):
        ways = {visit.telehealth for visit, _ in draft.documentation(line)}
        if ways <= {None} or not TELEHEALTH_MODIFIERS.isdisjoint(line.modifiers):
            continue
        if len(ways) > 1:
            draft.findings.append(
                kinds.TELEHEALTH_MIXED(f"{line.procedure} was furnished in more than one way", at=draft.at(line))
            )
            continue
        _add(draft, place, ways.pop() or "")


def _add(draft: Draft, place: int, way: str) -> None:
    terms, line = draft.terms, draft.lines[place]
    setting = f"telehealth_{way}"
    word = {"video": terms.telehealth_video, "audio": terms.telehealth_audio}.get(way)
    if word is None:
        message = f"{terms.payer} has no {setting}: which modifier marks {line.procedure} by {way}?"
        draft.findings.append(kinds.MODIFIER_UNSET(message, at=draft.at(line)))
    elif word != "none":
        draft.add([place], word, f"by {way} -> {word} ({terms.payer}; {terms.sources[setting]})")
