"""What a person has seen that the biller has of a treatment day: one submission of it, what it bills now, or nothing.

For what nobody else can tell: an answer that stays lost, a day that a restored ledger forgot, a correction of something that
is no longer there. The decision and the state that follows from it are one transaction; nothing is sent by it, and the day is
judged again from there (contracts D11, D17).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import apsw
import msgspec

from ptbridge.ledger.answers import Answers
from ptbridge.ledger.database import unpack
from ptbridge.ledger.day_rows import DayRow, shown_lines
from ptbridge.ledger.history import History
from ptbridge.ledger.judging import set_aside
from ptbridge.ledger.live import free, make_live
from ptbridge.model import Frequency, ShownLine

NOT_THERE, SEEN = "not-there", "seen-by-person"
_MADE = """
SELECT s.id, s.revision, s.frequency, s.state, s.content_sha256, s.units, s.amount_cents, w.body
FROM submission s LEFT JOIN day_version w ON w.id = s.version_id
WHERE s.day_id = ? AND (s.state IN ('held', 'accepted') OR s.state = 'replaced' AND EXISTS (
  SELECT 1 FROM history h WHERE h.entity = 'submission' AND h.entity_id = s.id AND h.event = 'not-there')) ORDER BY s.id
"""
_TAKEN = """
UPDATE submission SET state = 'accepted', open = 0, hold_reason = NULL, destination_id = coalesce(?1, destination_id)
WHERE id = ?2
"""
_ANSWERED = """
INSERT INTO acknowledgement (submission_id, attempt, at, disposition, native_code, native_text, destination_id)
SELECT id, attempts, ?2, 'accepted', ?3, '', destination_id FROM submission WHERE id = ?1
"""
_STANDS = """
UPDATE treatment_day SET state = 'sent', reason = NULL, held_since = NULL, live_id = coalesce(?1, live_id),
 payer_claim_number = coalesce(?2, payer_claim_number) WHERE id = ?3
"""
_NAMED = "UPDATE submission SET destination_id = coalesce(?1, destination_id) WHERE id = ?2"
_NOTHING = """
UPDATE treatment_day SET state = 'open', reason = NULL, held_since = NULL, dirty = 1, generation = generation + ?1,
 live_sha256 = NULL, live_id = NULL, live_units = 0, live_cents = 0, live_reference = NULL, live_frequency = NULL, stage = NULL,
 standing = NULL, payer_claim_number = NULL WHERE id = ?2
"""
_REFERENCES = "SELECT reference FROM treatment_day WHERE id = ?1 UNION SELECT reference FROM submission WHERE day_id = ?1"
_SPOKEN_OF = "FROM (SELECT DISTINCT day_id FROM decision WHERE kind = 'settle') n CROSS JOIN treatment_day d ON d.id = n.day_id"
# The newest word about a day that no answer of the platform came after, by the order of the history.
_BY_WORD = f"""
SELECT coalesce(d.live_reference, d.reference), d.live_sha256 IS NOT NULL, d.live_units, d.live_cents {_SPOKEN_OF}
WHERE d.clinic = ?1 AND d.service_date BETWEEN ?2 AND ?3
 AND (SELECT max(h.seq) FROM history h WHERE h.entity = 'day' AND h.entity_id = d.id AND h.event = 'settle')
   > (SELECT coalesce(max(h.seq), 0) FROM submission s CROSS JOIN history h ON h.entity = 'submission' AND h.entity_id = s.id
      WHERE s.day_id = d.id AND h.event = 'accepted')
"""  # noqa: S608
# What the payer decided about something that is not there by a person's word, where that was heard since.
_DISPUTED = f"""
SELECT DISTINCT coalesce(d.live_reference, d.reference) {_SPOKEN_OF}
CROSS JOIN submission s ON s.day_id = d.id AND s.state = 'replaced'
CROSS JOIN answer a ON a.submission_id = s.id AND a.standing IN ('paid', 'denied')
WHERE d.clinic = ?1 AND d.service_date BETWEEN ?2 AND ?3
 AND EXISTS (SELECT 1 FROM history h WHERE h.entity = 'submission' AND h.entity_id = s.id AND h.event = 'not-there')
 AND a.received_at > (SELECT max(h.at) FROM history h WHERE h.entity = 'day' AND h.entity_id = d.id AND h.event = 'settle')
ORDER BY 1
"""  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A submission that the biller may have: it was accepted, or delivery gave it up (`held`). `replaced`: a person said that
    it is not there."""

    id: int
    revision: int
    frequency: Frequency
    state: str
    content_sha256: bytes
    units: int
    amount_cents: int
    lines: tuple[ShownLine, ...]

    @property
    def makes_live(self) -> bool:
        """Whether something is live once the biller has it: a void leaves nothing."""
        return self.frequency is not Frequency.VOID


class Said:
    """Writes `submission`, `acknowledgement` and where the day stands. Call what writes inside a transaction."""

    def __init__(self, connection: apsw.Connection, history: History) -> None:
        self._connection = connection
        self._history = history

    def made(self, day: DayRow) -> list[Made]:
        """What was made of a day and may be there, oldest first; what was surely never sent is none of it."""
        rows: list[tuple[Any, ...]] = self._connection.execute(_MADE, (day.id,)).fetchall()
        return [
            Made(
                id=id_,
                revision=revision,
                frequency=Frequency(frequency),
                state=state,
                content_sha256=content,
                units=units,
                amount_cents=cents,
                lines=() if body is None else shown_lines(msgspec.json.decode(unpack(body))),
            )
            for id_, revision, frequency, state, content, units, cents, body in rows
        ]

    def on_its_way(self, day: DayRow) -> bool:
        """Whether something of it waits, is being sent, or waits for its answer."""
        row = self._connection.execute("SELECT 1 FROM submission WHERE day_id = ? AND open = 1", (day.id,)).fetchone()
        return row is not None

    def references(self, day: DayRow) -> set[str]:
        """Every name under which the biller may have something of this day."""
        return {str(reference) for (reference,) in self._connection.execute(_REFERENCES, (day.id,))}

    def by_word(self, clinic: str, dates: tuple[str, str]) -> dict[str, tuple[int, int] | None]:
        """What people said last of days with these service dates, where no answer came since: reference -> (units, cents).

        None: the biller has nothing.
        """
        rows = self._connection.execute(_BY_WORD, (clinic, *dates))
        return {str(reference): (units, cents) if live else None for reference, live, units, cents in rows}

    def disputed(self, clinic: str, dates: tuple[str, str]) -> list[str]:
        """References of days with these service dates of which the payer decided what is not there by a person's last word."""
        return [str(reference) for (reference,) in self._connection.execute(_DISPUTED, (clinic, *dates))]

    def has(self, day: DayRow, one: Made, actor: str, biller_id: str | None = None, number: str | None = None) -> None:
        """The biller has exactly this submission: none that came after it, and none that delivery gave up.

        `biller_id` is its id there, `number` the payer's claim number. Where it is what the ledger knows as live, all that
        was said of it stays. A void that the biller has leaves nothing live.
        """
        last = max((other.id for other in self.made(day) if other.state == "accepted"), default=0)
        self._set_aside(day, lambda other: other.id > one.id or (other.id < one.id and other.state == "held"), actor)
        if (one.id, one.content_sha256) != (last, day.live_sha256):
            self._connection.execute(_TAKEN, (biller_id, one.id))
            self._connection.execute(_ANSWERED, (one.id, self._history.now(), SEEN))
            self._history.add(day.clinic, "submission", one.id, SEEN, biller_id or "", actor)
            make_live(self._connection, [(one.id, biller_id)])
            Answers(self._connection, self._history).became_live([one.id])
        if one.makes_live:
            self._stands(day, one.id, biller_id, number)
        free(self._connection, day.id)

    def has_nothing(self, day: DayRow, actor: str, *, closes_reference: bool) -> None:
        """The biller has nothing of this day: it is free for an original. `closes_reference`: that has a name of its own."""
        made = self.made(day)
        taken_back = max((one.id for one in made if one.state == "accepted" and not one.makes_live), default=0)
        self._set_aside(day, lambda one: one.state == "held" or one.id > taken_back, actor)
        self._connection.execute(_NOTHING, (closes_reference and day.live_sha256 is not None, day.id))
        free(self._connection, day.id)

    def has_none_given_up(self, day: DayRow, actor: str) -> None:
        """What the biller has is none of what delivery gave up."""
        self._set_aside(day, lambda one: one.state == "held", actor)

    def named(self, day: DayRow, biller_id: str | None, number: str | None) -> None:
        """How the biller and the payer name what is live since a person said so."""
        row = self._connection.execute(
            "SELECT max(id) FROM submission WHERE day_id = ? AND state = 'accepted'", (day.id,)
        ).fetchone()
        assert row is not None, "an aggregate has a row"
        self._stands(day, int(str(row[0])), biller_id, number)
        free(self._connection, day.id)

    def _stands(self, day: DayRow, submission_id: int, biller_id: str | None, number: str | None) -> None:
        self._connection.execute(_NAMED, (biller_id, submission_id))
        self._connection.execute(_STANDS, (biller_id, number, day.id))

    def _set_aside(self, day: DayRow, these: Callable[[Made], bool], actor: str) -> None:
        for one in self.made(day):
            if one.state != "replaced" and these(one):
                set_aside(self._connection, self._history, day, one.id, NOT_THERE, actor)
