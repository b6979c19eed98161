"""What an edit may know besides the treatment day itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from ptbridge.policy.codes import CodeTable
from ptbridge.policy.history import PatientHistory
from ptbridge.policy.payers import Policy, Terms
from ptbridge.policy.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Handed to every edit. `policy` is this day's payer's, None when the payer could not be told.

    `today` is the civil day at the clinic. `icd10` says whether a diagnosis code (with its dot) was valid on a date, or
    None when its table does not cover that date; without a table it is absent. `history` is absent where nothing is known
    about the patient beyond this day (`ptbridge units`, the cases of a manual page). `reference` are the loaded official files
    with the shipped small tables behind them; absent where no config folder is at hand. `splits`: the destination sends a day
    that is larger than one claim as several.
    """

    codes: CodeTable
    policies: Mapping[str, Policy] = field(default_factory=dict)
    policy: Policy | None = None
    today: date
    clinic: str = ""
    icd10: Callable[[str, date], bool | None] | None = None
    history: PatientHistory | None = None
    reference: Reference | None = None
    splits: bool = False

    def terms(self, on: date | None) -> Terms | None:
        """The payer's settings on a service date; None without a payer or without a date."""
        return None if self.policy is None or on is None else self.policy.terms(on)
