"""A Finding: what is wrong or worth knowing about a charge, for a person. Data, never an exception."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ptbridge.model.made_fast import made_fast


class Severity(StrEnum):
    """FHIR OperationOutcome issue severities that ptbridge uses. Only `ERROR` holds a charge."""

    ERROR = "error"
    WARNING = "warning"
    INFORMATION = "information"


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem or remark, shaped like FHIR OperationOutcome.issue.

    `code` is stable (two letters, two digits). `message` says what, with the value; `fix` says what to do.
    Neither may hold anything that identifies a patient: codes, minutes, units, dates and file names only.
    """

    code: str
    severity: Severity
    message: str
    fix: str = ""
    visit_id: str | None = None
    line_key: str | None = None
    where: str = ""  # the field, path or file:line that the finding is about

    @property
    def holds(self) -> bool:
        """True when this finding keeps the charge here until a person decides."""
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" {self.fix}" if self.fix else ""
        return f"{self.code} {self.severity.value}: {place}{self.message}{advice}"
