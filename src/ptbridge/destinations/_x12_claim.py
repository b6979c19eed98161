"""A treatment day's claims: the loops from 2000A to the last 2400, without envelope, the same bytes for the same day.

One day is one claim, unless it has more than 50 lines or 12 diagnoses, or stands under several authorizations (a claim
carries one). A line goes with the diagnoses that it points to. Names of ours, for the day's reference `pt-` and 24
hexadecimal characters:

    CLM01   the reference's first 15 hexadecimal characters in capitals, then two letters: which claim, and
            of how many (AA: the only one)
    REF*6R  the reference itself, `-`, and the place of the line in the day, from 1
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from ptbridge.destinations._x12_facts import (
    agreed_authorization,
    agreed_place,
    day_facts,
    is_dependent,
    people,
    place_code,
    text,
)
from ptbridge.destinations._x12_rows import missing, segments
from ptbridge.destinations._x12_split import Claim, Kept, Service, Standing, Wanted, fresh, kept, without_room
from ptbridge.destinations._x12_tables import (
    CLAIM,
    DAY,
    DAY_OF_DEPENDENT,
    FACTS,
    LINE,
    MOST_CLAIMS,
    MOST_MODIFIERS,
    MOST_POINTERS,
    TRANSACTION,
)
from ptbridge.destinations._x12_text import COMPONENT, ELEMENT, amount, diagnosis
from ptbridge.model import Charge, Finding, PricedDay, Visit
from ptbridge.specs.clinic import BillingProviderSpec, ClaimsSpec

_OURS = re.compile(r"pt-([0-9a-f]{15,24})")  # whole, or as short as CLM01 gives it back
_LONGEST_LINE_CONTROL = 30
DAY_PART = 15  # characters of CLM01 that name the day


# ---------------------------------------------------------------- names


def day_name(reference: str) -> str:
    """The part of CLM01 that names the day. A reference that is not of our usual form is hashed first."""
    match = _OURS.fullmatch(reference)
    whole = match[1] if match else hashlib.sha256(reference.encode()).hexdigest()
    return whole[:DAY_PART].upper()


def patient_control_number(reference: str, claim: int, claims: int) -> str:
    """CLM01 of the n-th claim (from 1) of a day in so many claims: 17 characters."""
    return f"{day_name(reference)}{claim_letters(claim, claims)}"


def claim_letters(claim: int, claims: int) -> str:
    """Which claim (from 1) of how many: `BC` is the second of three."""
    return f"{chr(64 + claim)}{chr(64 + claims)}"


def line_control_number(reference: str, number: int) -> str:
    """REF*6R of a line of the day; with the day's short name where the whole reference would be too long."""
    text = f"{reference.upper()}-{number}"
    return text if len(text) <= _LONGEST_LINE_CONTROL else f"{day_name(reference)}-{number}"


# ---------------------------------------------------------------- writing


class DayClaims:
    """A day on its way into claims: `lacks` says why it cannot be written, `written` writes it."""

    def __init__(self, priced: PricedDay, billing: BillingProviderSpec, claims: ClaimsSpec) -> None:
        day, self._charges = priced.day, priced.charges
        self._facts = facts = day_facts(day, billing, claims)
        self._of_day = DAY_OF_DEPENDENT if is_dependent(day) else DAY
        self._codes = [facts.read("diagnoses", one.code, diagnosis) for one in priced.coded.diagnoses]
        visits = [_visit_of(charge, day.visits) for charge in priced.charges]
        distinct = {visit.visit_id: people(day, visit, facts) for visit in visits}
        if {person.get("rendering", {}).get("rendering_npi") for person in distinct.values()} == {billing.npi}:
            for person in distinct.values():
                del person["rendering"]  # 2310B says who rendered where the billing provider did not
        self._people = [distinct[visit.visit_id] for visit in visits]
        self._places = [facts.read("place", visit.place_of_service or agreed_place(day), place_code) for visit in visits]
        authorizations = [
            facts.read("authorization", visit.authorization_number or agreed_authorization(day), text(50)) for visit in visits
        ]
        self._authorizations = authorizations
        self._lines = [
            Wanted(
                place=at,
                service=Service(f"HC:{_service(charge)}", charge.line.units),
                authorization=authorization,
                pointed=frozenset(charge.line.diagnosis_pointers),
            )
            for at, (charge, authorization) in enumerate(zip(priced.charges, authorizations, strict=True), start=1)
        ]
        self._claims = fresh(self._lines, len(self._codes))

    @property
    def count(self) -> int:
        """How many claims it is."""
        return len(self._claims)

    def lacks(self) -> list[Finding]:
        """Findings SB03: every fact that is absent, and every one that 837P cannot carry."""
        facts = self._facts
        for charge in self._charges:
            self._check_line(charge)
        self._check_room()
        of_claims = {"place": all(self._places), "diagnoses": bool(self._codes)}
        absent = [name for table in (TRANSACTION, self._of_day, CLAIM, LINE) for name in missing(table, facts.values)]
        if "filing" in absent and "filing" not in facts.faulty:  # the payer's whole entry is: one finding says so
            absent = [name for name in absent if name not in ("payer_name", "payer_id")]
        for name in dict.fromkeys(absent):
            if name in FACTS and name not in facts.faulty and not of_claims.get(name):
                facts.refuse(name, "is missing")
        return list(dict.fromkeys(facts.problems))

    def _check_line(self, charge: Charge) -> None:
        """What fits into no line is held, and never cut to fit."""
        line, most, pointers = charge.line, len(self._codes), charge.line.diagnosis_pointers
        wrong = []
        if charge.amount_cents is None or charge.amount_cents < 0:
            wrong.append("has no price")
        if len(line.modifiers) > MOST_MODIFIERS:
            wrong.append(f"has {len(line.modifiers)} modifiers, and a claim carries {MOST_MODIFIERS}")
        if not re.fullmatch(r"[A-Z0-9]{5}(:[A-Z0-9]{2})*", _service(charge)):
            wrong.append("has a code or modifier of another form than 837P has")
        if not 1 <= len(pointers) <= MOST_POINTERS or not all(1 <= one <= most for one in pointers):
            wrong.append(f"must point to one to {MOST_POINTERS} of the {most} diagnoses of this day")
        for what in wrong:
            self._facts.refuse("line", f"{what} ({line})", line_key=next(iter(line.line_keys), None))

    def _check_room(self) -> None:
        left = without_room(self._claims, self._lines, len(self._codes))
        if left:
            what = f"to which no line points has no room beside the others ({left} left): point a line to it, or leave it out"
            self._facts.refuse("diagnoses", what)
        if len(self._claims) > MOST_CLAIMS:
            self._facts.refuse("line", f"would stand in one of {len(self._claims)} claims of one day")

    def kept(self, standing: Sequence[Standing]) -> Kept | None:
        """The day in the claims that the payer has of it; None when a person has to correct it there (`_x12_split`)."""
        found = kept(self._lines, standing, len(self._codes))
        if found is None:
            return None
        claims = [claim for claim in (*found.claims, *found.new) if claim]
        fits = len(found.claims) + len(found.new) <= MOST_CLAIMS and not without_room(claims, self._lines, len(self._codes))
        return found if fits else None

    def written(self, *, reference: str, frequency: str, payer_numbers: Sequence[str]) -> bytes:
        """The segments; `payer_numbers` one for each claim, or none. `lacks` must have found nothing."""
        numbers = payer_numbers or [""] * self.count
        return self.corrected(
            reference=reference,
            each=[(claim, frequency, number, "") for claim, number in zip(self._claims, numbers, strict=True)],
        )

    def corrected(self, *, reference: str, each: Sequence[tuple[Claim, str, str, str]], before: Sequence[str] = ()) -> bytes:
        """The segments: of each claim in turn its part of the day, its frequency, the payer's number of what it corrects and
        what is noted behind it; `before` are claims that go ahead of them."""
        assert not self._facts.problems, "a day that lacks facts is not written"
        parts, most = [segments(self._of_day, self._facts.values), *before], len(before) + len(each)
        for number, (claim, frequency, payer_number, noted) in enumerate(each, len(before) + 1):
            own = {
                **self._facts.values,
                **self._claim_facts(claim),
                "control": patient_control_number(reference, number, most),
                "frequency": frequency,
                "payer_number": payer_number,
            }
            parts.append(segments(CLAIM, own))
            parts += [self._line(claim, at, own, reference) for at in range(len(claim.lines))]
            parts.append(noted)
        return "".join(parts).encode("ascii")

    def _claim_facts(self, claim: Claim) -> dict[str, str]:
        """The people and the place of the first line are the claim's; other lines say where they differ."""
        first = claim.lines[0] - 1
        codes = [self._codes[position - 1] for position in claim.diagnoses(len(self._codes))]
        return {
            **_flat(self._people[first]),
            "total": amount(sum(self._charges[number - 1].amount_cents or 0 for number in claim.lines)),
            "place": self._places[first],
            "authorization": self._authorizations[first],
            "diagnoses": ELEMENT.join(f"{'ABF' if at else 'ABK'}{COMPONENT}{code}" for at, code in enumerate(codes)),
        }

    def _line(self, claim: Claim, at: int, of_claim: Mapping[str, str], reference: str) -> str:
        number = claim.lines[at]
        charge, place = self._charges[number - 1], self._places[number - 1]
        line, positions = charge.line, claim.diagnoses(len(self._codes))
        first = self._people[claim.lines[0] - 1]
        differing = {role: person for role, person in self._people[number - 1].items() if person != first.get(role)}
        own = {
            **_flat(differing),
            "number": str(at + 1),
            "procedure": _service(charge),
            "amount": amount(charge.amount_cents or 0),
            "units": str(line.units),
            "line_place": "" if place == of_claim["place"] else place,
            "pointers": COMPONENT.join(str(positions.index(one) + 1) for one in line.diagnosis_pointers),
            "service_date": of_claim["service_date"],
            "line_control": line_control_number(reference, number),
        }
        return segments(LINE, own)


def _service(charge: Charge) -> str:
    return COMPONENT.join((charge.line.procedure, *charge.line.modifiers))


def _flat(people: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {name: value for person in people.values() for name, value in person.items()}


def _visit_of(charge: Charge, visits: Sequence[Visit]) -> Visit:
    """The visit that documented the line first; the day's first where the line does not say."""
    keys = charge.line.line_keys
    named = keys[0].partition("/")[0] if keys else ""
    return next((visit for visit in visits if visit.visit_id == named), visits[0])
