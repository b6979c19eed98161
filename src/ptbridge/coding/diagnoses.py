"""The day's diagnoses in billing order, and each line's pointers into them."""

from __future__ import annotations

from ptbridge.coding.documented import Procedure
from ptbridge.model import Diagnosis, TreatmentDay

MAX_POINTERS = 4  # X12 837P SV107
NO_DIAGNOSIS = "no diagnosis documented"


class DiagnosisList:
    """Diagnoses of all visits of a day, each once: by visit, then by rank, then as documented. Positions are 1-based."""

    __slots__ = ("_by_visit", "_linked", "_positions", "diagnoses")

    def __init__(self, day: TreatmentDay) -> None:
        self.diagnoses: list[Diagnosis] = []
        self._positions: dict[str, int] = {}
        self._by_visit: dict[str, tuple[int, ...]] = {}
        self._linked: dict[tuple[str, ...], tuple[tuple[int, ...], str]] = {}  # the lines of a day mostly share their codes
        for visit in day.visits:
            ranked = sorted(visit.diagnoses, key=_rank)
            places = dict.fromkeys(self._place(diagnosis) for diagnosis in ranked)
            self._by_visit[visit.visit_id] = tuple(places)[:MAX_POINTERS]

    def pointers(self, procedure: Procedure) -> tuple[tuple[int, ...], str]:
        """The line's pointers (at most four) and the reason: the codes it was documented for, else the visit's first ones.

        A linked code that the visit does not list is documented all the same: it joins the list at the end.
        """
        linked = procedure.diagnosis_codes
        if linked:
            found = self._linked.get(linked)
            if found is None:
                found = self._linked[linked] = self._of_codes(linked)
            return found
        places_of_visit = self._by_visit[procedure.visit.visit_id]
        if not places_of_visit:
            return (), NO_DIAGNOSIS
        return places_of_visit, "no diagnosis linked to the service -> the visit's, in order"

    def _of_codes(self, linked: tuple[str, ...]) -> tuple[tuple[int, ...], str]:
        places = [self._positions.get(code) or self._place(Diagnosis(code=code)) for code in linked]
        cut = f", the first {MAX_POINTERS} of {len(places)}" if len(places) > MAX_POINTERS else ""
        return tuple(places[:MAX_POINTERS]), f"diagnoses as linked to the service{cut}"

    def _place(self, diagnosis: Diagnosis) -> int:
        place = self._positions.get(diagnosis.code)
        if place is None:
            self.diagnoses.append(diagnosis)
            place = self._positions[diagnosis.code] = len(self.diagnoses)
        return place


def _rank(diagnosis: Diagnosis) -> int:
    return 1_000_000 if diagnosis.rank is None else diagnosis.rank
