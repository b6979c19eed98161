"""From single answers to what a day stands at: the last word at the furthest stage, and a refused line before a paid claim.

A day's `stage` and `standing` speak of what is live at the biller now, or of the void that took it back (`last_taken`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import apsw

from ptbridge.model import Frequency, NativeCode, Stage, Standing

SEEN = "seen-by-person"  # of an answer that could not be read
REFUSED = (Standing.REJECTED, Standing.DENIED)
_WORST_FIRST = (Standing.REJECTED, Standing.DENIED, Standing.PENDING, Standing.ACCEPTED, Standing.PAID)
# What the biller took last: the live charge, or the void that took it back.
_LAST = """
SELECT s.id, d.clinic, s.frequency, d.stage, d.standing, d.payer_claim_number, d.live_sha256 IS NOT NULL FROM treatment_day d
JOIN submission s ON s.day_id = d.id WHERE d.id = ? AND s.state = 'accepted' ORDER BY s.id DESC LIMIT 1
"""
SHORTEST_KEY = 16  # characters of a submission's key that an answer must repeat to name it
# `a` names `s` by its key, and was said before `s` was made here: a ledger that a restore replaced made the same.
MADE_AGAIN = f"""a.clinic = s.clinic AND a.destination = s.destination
  AND a.submission_key BETWEEN substr(s.key, 1, {SHORTEST_KEY}) AND s.key AND s.key LIKE a.submission_key || '%'"""
OF_THE_DAY = "s.reference BETWEEN a.reference AND a.reference || 'g'"  # also where the answer has its beginning only
# `a` is linked to nothing, and is about the day of `s`.
UNLINKED_OF_DAY = f"""a.submission_id IS NULL AND a.submission_key IS NULL AND a.clinic = s.clinic
    AND a.destination = s.destination AND a.destination_id = s.destination_id
  OR a.submission_key IS NOT NULL AND a.clinic = s.clinic AND a.destination = s.destination AND {OF_THE_DAY}"""
# Said before the submission was known here: by the platform's id, by a key of a lost ledger that is made again, or by such a
# key where the day was taken over as the biller has it.
_UNLINKED = f"""
SELECT json_group_array(id) FROM (
  SELECT a.id FROM submission s CROSS JOIN answer a INDEXED BY answer_of_nothing
    ON a.clinic = s.clinic AND a.destination = s.destination AND a.destination_id = s.destination_id
    AND a.submission_id IS NULL AND a.submission_key IS NULL WHERE s.id = ?1
  UNION SELECT a.id FROM submission s CROSS JOIN answer a INDEXED BY answer_of_lost ON {MADE_AGAIN} WHERE s.id = ?1
  UNION SELECT a.id FROM submission s CROSS JOIN answer a INDEXED BY answer_of_lost
    ON a.clinic = s.clinic AND a.destination = s.destination AND a.submission_key IS NOT NULL AND {OF_THE_DAY}
  WHERE s.id = ?1 AND EXISTS (SELECT 1 FROM history h WHERE h.entity = 'submission' AND h.entity_id = s.id
                              AND h.event = 'adopted'))
"""  # noqa: S608
_NEWS = """
SELECT id, stage, standing, line, procedure, codes, said_at, received_at, payer_claim_number FROM answer
WHERE submission_id = ?1 OR id IN (SELECT value FROM json_each(?2)) ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class News:
    """One answer as its standing is counted."""

    id: int
    stage: Stage
    standing: Standing
    line: int | None
    procedure: str | None
    codes: tuple[NativeCode, ...]
    said: datetime
    payer_claim_number: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastTaken:
    """The submission that a day's news counts for, and where the day stands by the news so far."""

    submission_id: int
    clinic: str
    frequency: Frequency
    stage: str | None
    standing: str | None
    payer_claim_number: str | None = field(repr=False)


def last_taken(connection: apsw.Connection, day_id: int) -> LastTaken | None:
    """What the biller took last of a day: what is live, or the void that took it back. None where nothing counts."""
    row = connection.execute(_LAST, (day_id,)).fetchone()
    if row is None:
        return None
    submission_id, clinic, frequency, stage, standing, number, is_live = row
    if not is_live and frequency != Frequency.VOID:
        return None
    return LastTaken(
        submission_id=int(str(submission_id)),
        clinic=str(clinic),
        frequency=Frequency(str(frequency)),
        stage=None if stage is None else str(stage),
        standing=None if standing is None else str(standing),
        payer_claim_number=None if number is None else str(number),
    )


def news_of(connection: apsw.Connection, submission_id: int) -> list[News]:
    """Every answer about a submission, in the order of arrival, with those that came before it was known here."""
    orphans = connection.execute(_UNLINKED, (submission_id,)).get
    return [read_news(row) for row in connection.execute(_NEWS, (submission_id, orphans or "[]"))]


def read_news(row: tuple[apsw.SQLiteValue, ...]) -> News:
    """A row of `answer`: id, stage, standing, line, procedure, codes, said at, received at, payer's claim number."""
    id_, stage, standing, line, procedure, codes, said_at, received_at, number = row
    return News(
        id=int(str(id_)),
        stage=Stage(str(stage)),
        standing=Standing(str(standing)),
        line=line if isinstance(line, int) else None,
        procedure=None if procedure is None else str(procedure),
        codes=tuple(NativeCode(system=system, code=code) for system, code in json.loads(str(codes))),
        said=moment(str(said_at), str(received_at)),
        payer_claim_number=None if number is None else str(number),
    )


def moment(said_at: str, received_at: str) -> datetime:
    """When it was said, in UTC; when it arrived, for a time that cannot be read."""
    for text in (said_at, received_at):
        try:
            read = datetime.fromisoformat(text)
        except ValueError:
            continue
        return read if read.tzinfo else read.replace(tzinfo=UTC)
    return datetime.min.replace(tzinfo=UTC)


def newest_of(news: Sequence[News]) -> list[News]:
    """The last word at the furthest stage: on the whole claim, and on each line that nothing later covers."""
    stage = max(news, key=lambda one: one.stage.place).stage
    last: dict[int | None, News] = {}
    for one in sorted((one for one in news if one.stage is stage), key=lambda one: (one.said, one.id)):
        last[one.line] = one
    claim = last.get(None)
    return sorted(
        (one for one in last.values() if claim is None or one is claim or one.said >= claim.said), key=lambda one: one.id
    )


def worst_of(newest: Sequence[News]) -> News:
    """What a day stands at: a line that was not paid counts before a claim that was."""
    return min(newest, key=lambda one: (_WORST_FIRST.index(one.standing), one.line is not None))
