"""A TreatmentDay: the unit over which CMS counts minutes (Pub. 100-04, ch. 5, section 20.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from ptbridge.model.made_fast import made_fast
from ptbridge.model.people import Coverage, Patient
from ptbridge.model.visit import Discipline, Intervention, Visit


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class TreatmentDay:
    """All visits of one patient, one discipline, one service date, one billing provider. Units are counted here."""

    clinic: str
    key: str = field(repr=False)  # stable identity; see intake.group
    patient_id: str = field(repr=False)
    discipline: Discipline | None
    service_date: date | None
    billing_npi: str
    visits: tuple[Visit, ...]

    @property
    def patient(self) -> Patient:
        """The patient, as the first visit gives it."""
        return self.visits[0].patient

    def interventions(self) -> Iterator[tuple[Visit, Intervention]]:
        """Every documented line that was done, in documentation order."""
        for visit in self.visits:
            for intervention in visit.interventions:
                if not intervention.not_done:
                    yield visit, intervention

    @property
    def primary_coverage(self) -> Coverage | None:
        """The coverage with order 1, else the only one; None when that cannot be told (two primaries, or several unordered)."""
        if len(self.visits) == 1 and len(self.visits[0].coverages) == 1:  # nearly always
            return self.visits[0].coverages[0]
        distinct = {coverage.id: coverage for visit in self.visits for coverage in visit.coverages}
        first = [coverage for coverage in distinct.values() if coverage.order == 1]
        if len(first) == 1:
            return first[0]
        if not first and len(distinct) == 1:
            return next(iter(distinct.values()))
        return None
