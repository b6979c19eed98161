"""What can be made to go wrong at the sandbox biller. Shares are between 0 and 1 and rolled with a fixed seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any


@dataclass(slots=True, kw_only=True)
class Faults:
    """All off by default. May be changed while the biller runs.

    `refuse`: a share of submissions, or a predicate over the document, is answered 422. `busy`: a share is answered
    `busy_status` before anything happens, with `Retry-After: retry_after` when that is set. `lose_answer`: taken, then
    the connection is closed. `error_after_commit`: taken, then 500. `wrong_reference`: taken, and the answer names another
    charge. `html_answer`: taken, and the answer is a web page. `answer_delay_seconds`: taken at once, answered late.
    `process_twice`: with `forget_keys`, the same request is worked on twice, as behind a proxy that repeats.
    `answer_twice`: the answer is written twice on the connection. `forget_keys`: idempotency keys are not remembered.
    `find_lag_seconds`: a look-up does not see a charge for that long.
    """

    refuse: float | Callable[[dict[str, Any]], bool] = 0.0
    busy: float = 0.0
    busy_status: int = 429
    retry_after: str = ""
    lose_answer: float = 0.0
    error_after_commit: float = 0.0
    wrong_reference: float = 0.0
    html_answer: float = 0.0
    answer_delay_seconds: float = 0.0
    process_twice: float = 0.0
    answer_twice: float = 0.0
    forget_keys: bool = False
    find_lag_seconds: float = 0.0
    seed: int = 1
    _random: Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def happens(self, share: float) -> bool:
        """Roll the dice."""
        return share > 0 and self._random.random() < share

    def refuses(self, document: dict[str, Any]) -> bool:
        """Whether this document is to be refused."""
        return self.refuse(document) if callable(self.refuse) else self.happens(self.refuse)
