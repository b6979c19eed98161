"""MD17: telehealth modifier and place of service disagree.

What it checks
    A line with 95, 93, GT, GQ or FQ has a telehealth place of service (02, 10), and, where the payer's policy names a
    modifier for visits by video or audio, a line with such a place has one. 95 is video, 93 audio alone, where the source
    says which it was. The combination differs by payer and contractor and is partly unverified, so all of it is a warning.
Why it matters
    Half of it denies the line, or pays it at the wrong rate.
Fix
    Correct the place of service or the modifier.
Source
    NGS, telehealth, 2024 (95 with therapy; 93 audio only); CMS place of service code set (02, 10); the payer policy decides
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-95-GP x1 @15 | place=10                          -> ok
    97110-95-GP x1 @15                                     -> warning: 97110-95-GP x1: 95 with place of service 11
    97110-GP x1 @15 | place=02 | terms=telehealth_video=95
        -> warning: 97110-GP x1: place of service 02 without a telehealth modifier
    97110-95-GP x1 @15 | place=10 | telehealth=audio -> warning: 97110-95-GP x1: 95 is for video; the visit was audio
    97110-93-GP x1 @15 | place=10 | telehealth=video -> warning: 97110-93-GP x1: 93 is for audio; the visit was video
    97110-GP x1 @15 | telehealth=video -> warning: 97110-GP x1: the visit was by video; the place of service is 11
    97110-GP x1 @15 | place=02 | terms=telehealth_video=none; telehealth_audio=none -> ok
Cases (commercial_midpoint)
    97110-GP x1 @15 | place=02                             -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import (
    Finding,
    PricedDay,
    ServiceLine,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the place of service or the modifier."
PLACES = frozenset({"02", "10"})
MODIFIERS = frozenset({"93", "95", "FQ", "GQ", "GT"})
MEANS = {"93": "audio", "95": "video", "FQ": "audio"}


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a warning for each line whose modifier, place of service and visit disagree."""
    visits = priced.day.visits
    place = visits[0].place_of_service
    by = next((visit.telehealth for visit in visits if visit.telehealth), None)
    terms = facts.terms(priced.day.service_date)
    required = terms is not None and not {terms.telehealth_video, terms.telehealth_audio} <= {None, "none"}
    for charge in priced.charges:
        if place in PLACES or by or not MODIFIERS.isdisjoint(charge.line.modifiers):
            for message in _problems(charge.line, place, by, required=required):
                yield on_line("MD17", charge.line, message, FIX, Severity.WARNING)


def _problems(line: ServiceLine, place: str | None, by: str | None, *, required: bool) -> Iterator[str]:
    carried = [modifier for modifier in line.modifiers if modifier in MODIFIERS]
    shown = place if place is None or len(place) == 2 else "of another form"
    if place not in PLACES and place is not None:
        if carried:
            yield f"{carried[0]} with place of service {shown}"
        elif by:
            yield f"the visit was by {by}; the place of service is {shown}"
    if place in PLACES and required and not carried:
        yield f"place of service {shown} without a telehealth modifier"
    for modifier in carried:
        if by and MEANS.get(modifier, by) != by:
            yield f"{modifier} is for {MEANS[modifier]}; the visit was {by}"
