"""The knobs: what real EMR servers do wrong, to be switched on from outside while the server runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """What can go wrong with one answer."""

    TOO_MANY_REQUESTS = "429"
    SERVER_ERROR = "5xx"
    BAD_REQUEST_OUTAGE = "400-outage"  # 400 with code `invalid` that names nothing: the database is down
    HTML = "html-200"
    OUTCOME_WHOLE = "outcome-200"
    OUTCOME_ENTRY = "outcome-entry"
    TRUNCATED = "truncated"
    EMPTY_PAGE = "empty-page"
    REPEATED_NEXT = "repeated-next"
    FOREIGN_NEXT = "foreign-next"
    EXPIRED_NEXT = "expired-next"
    SLOW = "slow"


@dataclass(eq=False)
class Faults:
    """The control object of a running sandbox EMR.

    `plan` makes the next answers go wrong, one by one; a fault waits for an answer that can have it (EMPTY_PAGE,
    REPEATED_NEXT and FOREIGN_NEXT for a page with a next link, EXPIRED_NEXT for the following of one). `share` makes that
    part of all answers go wrong (0 to 1, drawn from `seed`). `happened` counts what was really done.
    """

    seed: int = 7
    retry_after: str | None = None  # the header word for word, nonsense included; None: no header
    server_error_status: int = 503
    slow_seconds: float = 0.5
    everywhere: bool = False  # True: the token endpoint and /metadata too, not only searches and reads
    foreign_origin: str = "http://foreign.invalid"
    share: dict[Fault, float] = field(default_factory=dict)
    happened: Counter[Fault] = field(default_factory=Counter)
    _planned: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def plan(self, fault: Fault, times: int = 1) -> None:
        """Let the next `times` answers that can have this fault have it."""
        self._planned += [fault] * times

    def clear(self) -> None:
        """No more faults."""
        self._planned.clear()
        self.share.clear()

    def strikes(self, *possible: Fault) -> Fault | None:
        """The fault of those that this answer shall have, if any."""
        for fault in self._planned:
            if fault in possible:
                self._planned.remove(fault)
                self.happened[fault] += 1
                return fault
        for fault, share in self.share.items():
            if fault in possible and self._random.random() < share:
                self.happened[fault] += 1
                return fault
        return None
