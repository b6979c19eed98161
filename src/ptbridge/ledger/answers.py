"""Takes in what was said later about what was sent: kept word for word, linked to its submission, brought to its day.

News about a submission that is no longer what counts (`news.last_taken`) is kept and changes nothing. A claim that was rejected
or denied asks for a new judgement of its day. Questions about what was taken in are in `standings.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import apsw

from ptbridge.ledger.cursors import Cursors
from ptbridge.ledger.database import pack, transaction
from ptbridge.ledger.history import History
from ptbridge.ledger.names import range_of
from ptbridge.ledger.news import MADE_AGAIN, OF_THE_DAY, REFUSED, SEEN, SHORTEST_KEY, last_taken, newest_of, news_of, worst_of
from ptbridge.model import Answer, Frequency, Standing
from ptbridge.ports import AnswerPage

FEED = "answers:"  # before the destination's name: the feed's cursor in the table `cursor`
_INSERT = """
INSERT INTO answer (clinic, destination, answer_key, submission_id, reference, destination_id, stage, standing, line, procedure,
                    codes, charged_cents, paid_cents, adjusted_cents, patient_cents, payer_claim_number, said_at, text,
                    received_at, run_id, submission_key)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (clinic, destination, answer_key) DO NOTHING
"""
# Ours by its key (hexadecimal), else by the platform's id or our reference; key and reference may be cut short. What is live
# comes first.
_SUBMISSION = f"""
SELECT s.id, s.day_id, s.key FROM submission s
WHERE s.destination = ?2 AND s.id IN (
    SELECT id FROM submission WHERE clinic = ?1 AND destination = ?2 AND destination_id = ?3
    UNION ALL SELECT id FROM submission WHERE clinic = ?1 AND reference >= ?4 AND reference < ?5
    UNION ALL SELECT id FROM submission WHERE clinic = ?1 AND key >= ?6 AND key < ?6 || 'g' AND length(?6) >= {SHORTEST_KEY})
ORDER BY (substr(s.key, 1, length(?6)) = ?6) IS TRUE DESC, (s.destination_id = ?3) IS TRUE DESC,
  s.state = 'accepted' DESC, s.id DESC LIMIT 1
"""  # noqa: S608
_AMBIGUOUS = "SELECT count(DISTINCT reference) > 1 FROM submission WHERE clinic = ?1 AND reference >= ?2 AND reference < ?3"
_NUMBER = """
SELECT a.payer_claim_number FROM submission s JOIN answer a ON a.submission_id = s.id
WHERE s.day_id = ? AND a.payer_claim_number IS NOT NULL ORDER BY a.id DESC LIMIT 1
"""
_TOLD = f"""
SELECT s.day_id FROM json_each(?) accepted CROSS JOIN submission s ON s.id = accepted.value
WHERE EXISTS (SELECT 1 FROM answer a WHERE a.submission_id = s.id)
   OR EXISTS (SELECT 1 FROM answer a INDEXED BY answer_of_lost WHERE {MADE_AGAIN})
"""  # noqa: S608
# Days whose news was said before what it is about was known here: by the platform's id, or by a key that only a lost ledger
# made, where the day was taken over.
_EARLY = f"""
SELECT s.day_id FROM answer a JOIN submission s ON s.clinic = a.clinic AND s.destination = a.destination
  AND s.destination_id = a.destination_id
WHERE a.clinic = ?1 AND a.destination = ?2 AND a.submission_id IS NULL
UNION
SELECT s.day_id FROM answer a INDEXED BY answer_of_lost
CROSS JOIN submission s ON s.clinic = a.clinic AND s.destination = a.destination AND {OF_THE_DAY}
WHERE a.clinic = ?1 AND a.destination = ?2 AND a.submission_key IS NOT NULL
"""  # noqa: S608


@dataclass(slots=True)
class Recorded:
    """What one page of news brought: answers about what was sent by `stage/standing`, how many were known before or are about
    nothing that was sent from here (`orphans`), and days it was bad news for."""

    new: dict[str, int] = field(default_factory=dict)
    known: int = 0
    orphans: int = 0
    refused_days: int = 0

    def add(self, more: Recorded) -> None:
        """Count another page in."""
        for name, count in more.new.items():
            self.new[name] = self.new.get(name, 0) + count
        self.known += more.known
        self.orphans += more.orphans
        self.refused_days += more.refused_days


class Answers:
    """Writes the `answer` table, the feed's cursor, and a day's `stage`, `standing` and `payer_claim_number`."""

    def __init__(self, connection: apsw.Connection, history: History) -> None:
        self._connection = connection
        self._history = history
        self._cursors = Cursors(connection)

    def record(self, clinic: str, destination: str, page: AnswerPage, address: str = "") -> Recorded:
        """Keep a page and the cursor that covers it, in one durable transaction. The same news again changes nothing.

        `address` names the server that said it; empty for files and messages.
        """
        found = Recorded()
        with transaction(self._connection):
            days: dict[int, None] = {}
            for answer in page.answers:
                day_id = self._keep(clinic, destination, answer, found)
                if day_id is not None:
                    days[day_id] = None
            for day_id in days:
                found.refused_days += self._restate(day_id)
            if page.cursor is not None:
                self._cursors.put(clinic, FEED + destination, page.cursor, address)
        return found

    def see(self, clinic: str, answer_id: int, reason: str, actor: str) -> None:
        """A person has looked at an answer that could not be read: it no longer asks for one."""
        with transaction(self._connection):
            self._history.add(clinic, "answer", answer_id, SEEN, reason, actor)

    def cursor(self, clinic: str, destination: str, address: str | None = None) -> dict[str, str]:
        """Where the feed stands, at this address or wherever it is; empty before the first page from there."""
        return self._cursors.read(clinic, FEED + destination, address)

    def _keep(self, clinic: str, destination: str, answer: Answer, found: Recorded) -> int | None:
        """Store one answer; the treatment day that it is news for, None for what was known or is nobody's."""
        linked = self._submission(clinic, destination, answer)
        lost = linked is not None and _is_lost(answer.submission_key, linked[2])
        before = self._connection.total_changes()
        self._connection.execute(
            _INSERT,
            (
                clinic,
                destination,
                answer.key,
                linked[0] if linked and not lost else None,
                answer.reference,
                answer.destination_id,
                answer.stage.value,
                answer.standing.value,
                answer.line,
                answer.procedure,
                json.dumps([[code.system, code.code] for code in answer.codes]),
                answer.charged_cents,
                answer.paid_cents,
                answer.adjusted_cents,
                answer.patient_cents,
                answer.payer_claim_number,
                answer.said_at,
                pack(json.dumps([answer.text, *(code.text for code in answer.codes)]).encode()),  # texts may name a patient
                self._history.now(),
                self._history.run_id,
                answer.submission_key if lost else None,
            ),
        )
        if self._connection.total_changes() == before:
            found.known += 1
            return None
        if linked is None:
            found.orphans += 1
            return None
        name = f"{answer.stage.value}/{answer.standing.value}"
        found.new[name] = found.new.get(name, 0) + 1
        return linked[1]

    def _submission(self, clinic: str, destination: str, answer: Answer) -> tuple[int, int, str] | None:
        """Submission, its day and its key that an answer is about. A shortened reference that fits two days is nobody's."""
        first, last = range_of(answer.reference)
        if first and self._connection.execute(_AMBIGUOUS, (clinic, first, last)).get:
            first, last = "", ""
        row = self._connection.execute(
            _SUBMISSION, (clinic, destination, answer.destination_id, first, last, answer.submission_key)
        ).fetchone()
        return (row[0], row[1], row[2]) if row else None

    # ------------------------------------------------------------ what a day's news comes to

    def became_live(self, submission_ids: Sequence[int]) -> None:
        """Submissions were accepted: what was said of them before that (their own answer was lost) counts now."""
        rows = self._connection.execute(_TOLD, (json.dumps(submission_ids),)).fetchall()
        for (day_id,) in rows:
            self._restate(int(str(day_id)))

    def adopt(self, clinic: str, destination: str) -> int:
        """News that came before its submission was known here is that submission's now. Returns how many days it changed."""
        rows = self._connection.execute(_EARLY, (clinic, destination)).fetchall()
        changed = 0
        with transaction(self._connection):
            for day_id in (int(str(row[0])) for row in rows):
                before = self._standing(day_id)
                self._restate(day_id)
                changed += before != self._standing(day_id)
        return changed

    def _standing(self, day_id: int) -> object:
        return self._connection.execute(
            "SELECT stage, standing, payer_claim_number FROM treatment_day WHERE id = ?", (day_id,)
        ).fetchone()

    def _restate(self, day_id: int) -> bool:
        """Bring a day's stage and standing up to its news. True when that is bad news which a person has not seen."""
        last = last_taken(self._connection, day_id)
        news = news_of(self._connection, last.submission_id) if last else []
        if last is None or not news:
            return False
        newest = newest_of(news)
        worst = worst_of(newest)
        number = next((one.payer_claim_number for one in reversed(news) if one.payer_claim_number), last.payer_claim_number)
        if worst.standing is Standing.REJECTED and last.frequency is not Frequency.ORIGINAL:  # the payer has what it corrects
            number = number or self._connection.execute(_NUMBER, (day_id,)).get
        before, now = (last.stage, last.standing), (worst.stage.value, worst.standing.value)
        told = max(one.id for one in newest if one.standing is worst.standing)
        refused = worst.standing in REFUSED and (before != now or self._unseen(day_id, told))
        self._connection.execute(
            "UPDATE treatment_day SET stage = ?1, standing = ?2, payer_claim_number = ?3,"
            " dirty = max(dirty, ?4 OR (state IN ('held', 'queued') AND (stage IS NOT ?1 OR standing IS NOT ?2"
            " OR payer_claim_number IS NOT ?3))) WHERE id = ?5",
            (*now, number, refused or (last.standing in REFUSED and before != now), day_id),
        )
        if before != now or refused:
            detail = " ".join([now[0], *(f"{code.system}:{code.code}" for code in worst.codes)])
            self._history.add(last.clinic, "day", day_id, now[1], f"{detail} #{told}")
        return refused

    def _unseen(self, day_id: int, answer_id: int) -> bool:
        """Whether a refusal came after the last one that the history tells of."""
        row = self._connection.execute(
            "SELECT detail FROM history WHERE entity = 'day' AND entity_id = ? AND event IN ('rejected', 'denied')"
            " ORDER BY seq DESC LIMIT 1",
            (day_id,),
        ).fetchone()
        return row is None or int(str(row[0]).rpartition("#")[2] or 0) < answer_id


def _is_lost(told: str | None, key: str) -> bool:
    """Whether the answer names another submission than the one of this key: nothing that was made here has the one told."""
    return told is not None and len(told) >= SHORTEST_KEY and not key.startswith(told)
