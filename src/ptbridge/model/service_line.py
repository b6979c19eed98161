"""A ServiceLine: a coded service (X12 837P loop 2400, SV1), and its one text form."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ptbridge.model.made_fast import made_fast

_NOTATION = re.compile(
    r"(?P<procedure>[A-Z0-9]{5})(?P<modifiers>(?:-[A-Z0-9]{2})*)(?: x(?P<units>-?\d+))?(?: @(?P<minutes>\d+))?"
)


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLine:
    """Procedure, modifiers, units, minutes, diagnosis pointers, and the reasons.

    `units` count the code's own unit (15 minutes for most timed codes); `minutes` are the documented minutes behind them,
    None when the source gives none. `diagnosis_pointers` are 1-based into the day's diagnoses. `line_keys` name the
    documented lines (`visit_id/line_key`) that this line bills.
    """

    procedure: str
    modifiers: tuple[str, ...] = ()
    units: int = 1
    minutes: int | None = None
    diagnosis_pointers: tuple[int, ...] = ()
    line_keys: tuple[str, ...] = ()
    because: tuple[str, ...] = ()

    def __str__(self) -> str:
        modifiers = "".join(f"-{modifier}" for modifier in self.modifiers)
        minutes = "" if self.minutes is None else f" @{self.minutes}"
        return f"{self.procedure}{modifiers} x{self.units}{minutes}"

    @classmethod
    def parse(cls, text: str) -> ServiceLine:
        """Read `97110-GP-CQ x2 @24` back. Units default to 1 when the text leaves them out.

        Raises ValueError when the text is not in that notation.
        """
        match = _NOTATION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a service line; write it as 97110-GP-CQ x2 @24")
        modifiers = match["modifiers"]
        return cls(
            procedure=match["procedure"],
            modifiers=tuple(modifiers[1:].split("-")) if modifiers else (),
            units=int(match["units"] or 1),
            minutes=int(match["minutes"]) if match["minutes"] else None,
        )
