"""GT1: who answers for what no insurance pays (HL7 v2, chapter 6.5.5). Only whom the source names; nobody is guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptbridge.destinations._dft_er7 import Er7
from ptbridge.model import Guarantor, TreatmentDay

_SEX = {"male": "M", "female": "F", "other": "O", "unknown": "U"}  # HL7 table 0001
_RELATIONSHIP = {"self": "SEL", "spouse": "SPO", "parent": "PAR", "guardian": "GRD", "other": "OTH"}  # HL7 table 0063


def guarantors(day: TreatmentDay) -> list[Guarantor]:
    """Whom the day's visits name, each once: none, or one, or several that nobody can choose from."""
    return list(dict.fromkeys(visit.guarantor for visit in day.visits if visit.guarantor is not None))


def guarantor_fields(
    named: Guarantor, er7: Er7, address: Callable[[dict[str, Any]], str], phone: Callable[[str | None], str]
) -> dict[int, str]:
    """The fields of GT1; what the source does not say of that person stays empty."""
    place = named.address
    written = (
        {"lines": list(place.lines), "city": place.city, "state": place.state, "postal_code": place.postal_code}
        if place
        else {}
    )
    return {
        1: "1",
        3: er7.components(named.family, named.given),
        5: address(written),
        6: phone(named.phone),
        8: named.birth_date.isoformat().replace("-", "") if named.birth_date else "",
        9: _SEX.get(named.sex or "", ""),
        11: er7.text(_RELATIONSHIP.get(named.relationship or "")),
    }
