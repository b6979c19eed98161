"""What a treatment day is in the ledger: where it stands, what is live of it, what was judged, what a person decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ptbridge.model import ShownLine, Submission
from ptbridge.model.made_fast import made_fast


@dataclass(frozen=True, slots=True)
class DayRow:
    """Where a treatment day stands. `live_*` is what the biller holds now; `revision` counts submissions made for it.

    `stage`, `standing` and `payer_claim_number` are the newest word about what is live. `generation` counts the references
    that a void has ended.
    """

    id: int
    clinic: str
    day_key: str = field(repr=False)
    reference: str
    service_date: str | None
    state: str
    reason: str | None
    held_since: str | None
    revision: int
    live_sha256: bytes | None
    live_id: str | None
    live_units: int
    live_cents: int
    version_id: int | None
    patient_key: str | None = None
    stage: str | None = None
    standing: str | None = None
    payer_claim_number: str | None = field(default=None, repr=False)
    generation: int = 0
    live_reference: str | None = None
    live_frequency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCharge:
    """What the biller has of a day: the bytes that it accepted, and the lines and the payer that they were made from."""

    body: bytes = field(repr=False)
    lines: tuple[ShownLine, ...] = ()
    payer: str | None = None  # as the EMR gave it: id, else name; None where the judgement did not keep it


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A line as judged, for the history of its patient. `allowed_cents` is set where a therapy threshold counts it.

    `start` and `end` (ISO 8601) are the documented times, where all of the line's documentation has them.
    """

    procedure: str
    modifiers: tuple[str, ...]
    units: int
    amount_cents: int | None = None
    allowed_cents: int | None = None
    start: str | None = None
    end: str | None = None


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The outcome of judging a treatment day. `body` is the whole judgement as JSON; `content_sha256` names what is sent."""

    state: str  # held | excluded | queued | sent | voided
    reason: str | None = None
    payer: str | None = None
    discipline: str | None = None
    lines: int = 0
    units: int = 0
    amount_cents: int = 0
    body: bytes = field(repr=False)
    visits_sha256: bytes  # names the content of the visits that were judged: a person's release holds for this content only
    content_sha256: bytes | None = None
    submission: Submission | None = None
    billed: tuple[BilledLine, ...] = ()  # what it bills or would bill: later days of the patient count it
    visit_types: tuple[str, ...] = ()
    authorization_number: str | None = field(default=None, repr=False)
    excluded: Mapping[int, tuple[int, str | None]] = field(default_factory=dict)  # visit row -> (lines, rule of whole visit)
    window_seconds: float = 0.0  # how long the submission waits before it may leave
    closes_reference: bool = False  # this and the next: what follows a void, see 0004_changes.sql
    judge_after: bool = False
    by_hand: bool = False  # the submission was made by a person at the biller: nothing leaves
    gone: bool = False  # what was live is no longer, and nothing is sent for it


EXCLUDED, AT = "excluded", "at:"
# Kinds of decision whose codes are findings that a person lets pass: its own, and what an earlier one about the same let pass.
LETS_PASS = ("release", "settle", "retry", "undo", "done")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided, about which content and which finding codes: `release`, `exclude`, `retry`, `undo`, `done`,
    `settle`.

    `EXCLUDED` among the codes: an earlier word about the same content excluded the day, and this one did not take it back. One
    that starts with `AT`: it is about what the day was after so many submissions, and about no later correction.
    """

    kind: str
    visits_sha256: bytes | None
    codes: frozenset[str]
    reason: str
    actor: str

    @property
    def excludes(self) -> bool:
        """Whether the day is never billed as it is."""
        return self.kind == "exclude" or EXCLUDED in self.codes

    def counts_at(self, revision: int) -> bool:
        """Whether it is about the day after so many submissions; what an older ledger kept does not say, and is."""
        said = [code for code in self.codes if code.startswith(AT)]
        return not said or f"{AT}{revision}" in said


def shown_lines(page: Mapping[str, Any]) -> tuple[ShownLine, ...]:
    """The billed lines of a judgement's JSON, as a person is shown them."""
    return tuple(
        ShownLine(
            procedure=line["procedure"],
            modifiers=tuple(line["modifiers"]),
            units=line["units"],
            amount_cents=line["amount_cents"],
        )
        for line in page.get("lines", ())
    )
