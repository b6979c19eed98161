"""What was said later about what was sent: kept word for word, linked to its submission, and the newest word on each day.

A day's `stage` and `standing` speak of what is live at the biller now: news about an earlier submission is kept and changes
nothing. A claim that was rejected or denied asks for a new judgement of its day (`refusal` is what it is then told).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw

from ptbridge.ledger.database import pack, transaction, unpack
from ptbridge.ledger.history import History
from ptbridge.ledger.news import (
    REFUSED,
    News,
    Refusal,
    RefusedDay,
    RefusedPart,
    blob,
    let_through,
    moment,
    newest_of,
    range_of,
    read_news,
    worst_of,
)
from ptbridge.model import Answer, Frequency, Stage, Standing
from ptbridge.ports import AnswerPage

_FEED = "answers:"  # before the destination's name: the feed's cursor in the table `cursor`
_INSERT = """
INSERT INTO answer (clinic, destination, answer_key, submission_id, reference, destination_id, stage, standing, line, procedure,
                    codes, charged_cents, paid_cents, adjusted_cents, patient_cents, payer_claim_number, said_at, text,
                    received_at, run_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (clinic, destination, answer_key) DO NOTHING
"""
# Ours by its key (hexadecimal), else by the platform's id or our reference; key and reference may be cut short. What is live
# comes first.
_SUBMISSION = """
SELECT s.id, s.day_id FROM submission s
WHERE s.destination = ?2 AND s.id IN (
    SELECT id FROM submission WHERE clinic = ?1 AND destination = ?2 AND destination_id = ?3
    UNION ALL SELECT id FROM submission WHERE clinic = ?1 AND reference >= ?4 AND reference < ?5
    UNION ALL SELECT id FROM submission WHERE clinic = ?1 AND key >= ?6 AND key < ?6 || 'g' AND length(?6) >= 16)
ORDER BY (substr(s.key, 1, length(?6)) = ?6) IS TRUE DESC, (s.destination_id = ?3) IS TRUE DESC,
  s.state = 'accepted' DESC, s.id DESC LIMIT 1
"""
_AMBIGUOUS = "SELECT count(DISTINCT reference) > 1 FROM submission WHERE clinic = ?1 AND reference >= ?2 AND reference < ?3"
# What the biller took last: the live charge, or the void that took it back.
_LAST = """
SELECT s.id, d.clinic, d.stage, d.standing, d.payer_claim_number, s.frequency, d.live_sha256 IS NOT NULL FROM treatment_day d
JOIN submission s ON s.day_id = d.id WHERE d.id = ? AND s.state = 'accepted' ORDER BY s.id DESC LIMIT 1
"""
_NUMBER = """
SELECT a.payer_claim_number FROM submission s JOIN answer a ON a.submission_id = s.id
WHERE s.day_id = ? AND a.payer_claim_number IS NOT NULL ORDER BY a.id DESC LIMIT 1
"""
_NEWS = (
    "SELECT id, stage, standing, line, procedure, codes, said_at, received_at, payer_claim_number FROM answer"
    " WHERE submission_id = ?1 OR (submission_id IS NULL AND id IN (SELECT value FROM json_each(?2))) ORDER BY id"
)

_TOLD = (
    "SELECT s.day_id FROM json_each(?) accepted CROSS JOIN submission s ON s.id = accepted.value"
    " WHERE EXISTS (SELECT 1 FROM answer a WHERE a.submission_id = s.id)"
)


@dataclass(slots=True)
class Recorded:
    """What one page of news brought: answers by `stage/standing`, how many were known before, and days it was bad news for."""

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
    """The `answer` table, the feed's cursor, and what a day's `stage`, `standing` and `payer_claim_number` say."""

    def __init__(self, connection: apsw.Connection, history: History) -> None:
        self._connection = connection
        self._history = history

    # ------------------------------------------------------------ taking news in

    def record(self, clinic: str, destination: str, page: AnswerPage) -> Recorded:
        """Keep a page and the cursor that covers it, in one durable transaction. The same news again changes nothing."""
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
                self._move(clinic, destination, page.cursor)
        return found

    def cursor(self, clinic: str, destination: str) -> dict[str, str]:
        """Where the feed stands; empty before the first page."""
        rows = self._connection.execute(
            "SELECT name, value FROM cursor WHERE clinic = ? AND source = ?", (clinic, _FEED + destination)
        )
        return {str(name): str(value) for name, value in rows}

    def _move(self, clinic: str, destination: str, cursor: Any) -> None:
        feed = _FEED + destination
        self._connection.execute("DELETE FROM cursor WHERE clinic = ? AND source = ?", (clinic, feed))
        self._connection.executemany(
            "INSERT INTO cursor (clinic, source, name, value) VALUES (?, ?, ?, ?)",
            [(clinic, feed, name, value) for name, value in cursor.items()],
        )

    def _keep(self, clinic: str, destination: str, answer: Answer, found: Recorded) -> int | None:
        """Store one answer; the treatment day that it is news for, None for what was known or is nobody's."""
        linked = self._submission(clinic, destination, answer)
        before = self._connection.total_changes()
        self._connection.execute(
            _INSERT,
            (
                clinic,
                destination,
                answer.key,
                linked[0] if linked else None,
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
            ),
        )
        if self._connection.total_changes() == before:
            found.known += 1
            return None
        name = f"{answer.stage.value}/{answer.standing.value}"
        found.new[name] = found.new.get(name, 0) + 1
        found.orphans += linked is None
        return linked[1] if linked else None

    def _submission(self, clinic: str, destination: str, answer: Answer) -> tuple[int, int] | None:
        """Submission and day that an answer is about. A shortened reference that fits two days is nobody's."""
        first, last = range_of(answer.reference)
        if first and self._connection.execute(_AMBIGUOUS, (clinic, first, last)).get:
            first, last = "", ""
        row = self._connection.execute(
            _SUBMISSION, (clinic, destination, answer.destination_id, first, last, answer.submission_key)
        ).fetchone()
        return (row[0], row[1]) if row else None

    # ------------------------------------------------------------ what a day's news comes to

    def became_live(self, submission_ids: Sequence[int]) -> None:
        """Submissions were accepted: what was said of them before that (their own answer was lost) counts now."""
        rows = self._connection.execute(_TOLD, (json.dumps(submission_ids),)).fetchall()
        for (day_id,) in rows:
            self._restate(int(str(day_id)))

    def adopt(self, clinic: str, destination: str) -> int:
        """News that came before its submission was known here is that submission's now. Returns how many days it changed."""
        rows = self._connection.execute(
            "SELECT DISTINCT s.day_id FROM answer a JOIN submission s ON s.clinic = a.clinic AND s.destination = a.destination"
            " AND s.destination_id = a.destination_id AND s.state = 'accepted'"
            " WHERE a.clinic = ? AND a.destination = ? AND a.submission_id IS NULL",
            (clinic, destination),
        ).fetchall()
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
        last = self._last(day_id)
        if last is None:
            return False
        submission_id, clinic, stage, standing, number, frequency = last
        news = self._news(submission_id)
        if not news:
            return False
        newest = newest_of(news)
        worst = worst_of(newest)
        number = next((one.payer_claim_number for one in reversed(news) if one.payer_claim_number), number)
        if worst.standing is Standing.REJECTED and frequency != "1":  # the payer still has what this was to correct
            number = number or self._connection.execute(_NUMBER, (day_id,)).get
        before, now = (stage, standing), (worst.stage.value, worst.standing.value)
        told = max(one.id for one in newest if one.standing is worst.standing)
        refused = worst.standing in REFUSED and (before != now or self._unseen(day_id, told))
        self._connection.execute(
            "UPDATE treatment_day SET stage = ?1, standing = ?2, payer_claim_number = ?3,"
            " dirty = max(dirty, ?4 OR (state IN ('held', 'queued') AND (stage IS NOT ?1 OR standing IS NOT ?2"
            " OR payer_claim_number IS NOT ?3))) WHERE id = ?5",
            (*now, number, refused or (standing in REFUSED and before != now), day_id),
        )
        if before != now or refused:
            detail = " ".join([now[0], *(f"{code.system}:{code.code}" for code in worst.codes)])
            self._history.add(clinic, "day", day_id, now[1], f"{detail} #{told}")
        return refused

    def _last(self, day_id: int) -> tuple[Any, ...] | None:
        """The submission that the day's news counts for: what is live, or the void that took it back."""
        row = self._connection.execute(_LAST, (day_id,)).fetchone()
        return row[:-1] if row and (row[-1] or row[-2] == Frequency.VOID) else None

    def _unseen(self, day_id: int, answer_id: int) -> bool:
        """Whether a refusal came after the last one that the history tells of."""
        row = self._connection.execute(
            "SELECT detail FROM history WHERE entity = 'day' AND entity_id = ? AND event IN ('rejected', 'denied')"
            " ORDER BY seq DESC LIMIT 1",
            (day_id,),
        ).fetchone()
        return row is None or int(str(row[0]).rpartition("#")[2] or 0) < answer_id

    def _news(self, submission_id: int) -> list[News]:
        """Every answer about a submission, in the order of arrival, with those that came before it was known here."""
        orphans = self._connection.execute(
            "SELECT json_group_array(a.id) FROM submission s CROSS JOIN answer a INDEXED BY answer_of_nothing"
            " ON a.clinic = s.clinic AND a.destination = s.destination AND a.destination_id = s.destination_id"
            " AND a.submission_id IS NULL WHERE s.id = ?",
            (submission_id,),
        ).get
        rows = self._connection.execute(_NEWS, (submission_id, orphans or "[]"))
        return [read_news(row) for row in rows]

    # ------------------------------------------------------------ refusals

    def refusal(self, day_id: int) -> Refusal | None:
        """Why what is live of a day was rejected or denied, unless a person has released exactly that. None: it was not."""
        row = self._connection.execute("SELECT standing FROM treatment_day WHERE id = ?", (day_id,)).fetchone()
        if row is None or row[0] not in REFUSED or self._settled(day_id):
            return None
        last = self._last(day_id)
        if last is None:
            return None
        newest = newest_of(self._news(last[0]))
        worst = worst_of(newest)
        parts = [one for one in newest if one.standing is worst.standing]
        return Refusal(
            standing=worst.standing,
            stage=worst.stage,
            frequency=Frequency(str(last[5])),
            parts=tuple(RefusedPart(line=one.line, procedure=one.procedure, codes=one.codes) for one in parts),
            let_through=self.let_through(last[0]),
        )

    def _settled(self, day_id: int) -> bool:
        """Whether a person released the day since the last bad news about it."""
        last = self._connection.execute(
            "SELECT event FROM history WHERE entity = 'day' AND entity_id = ? AND (event IN ('rejected', 'denied')"
            " OR (event = 'release' AND detail LIKE '%RJ0%')) ORDER BY seq DESC LIMIT 1",
            (day_id,),
        ).fetchone()
        return last is not None and last[0] == "release"

    def let_through(self, submission_id: int) -> tuple[str, ...]:
        """Codes of the findings that stood beside a submission when it was sent: warnings, remarks, and what was released."""
        return let_through(self.judgement_of(submission_id))

    def judgement_of(self, submission_id: int) -> dict[str, Any]:
        """The judgement that a submission was made from, as `explain` shows one; without lines or findings when it is gone."""
        row = self._connection.execute(
            "SELECT w.body FROM submission s JOIN day_version w ON w.day_id = s.day_id AND w.run_id <= s.run_id"
            " WHERE s.id = ? ORDER BY w.id DESC LIMIT 1",
            (submission_id,),
        ).fetchone()
        page: dict[str, Any] = json.loads(unpack(blob(row[0]))) if row else {"findings": [], "lines": []}
        return page

    # ------------------------------------------------------------ questions

    def open_references(self, clinic: str, destination: str) -> list[str]:
        """What is live and not yet paid, newest service date first: to be asked for one by one when the feed has a gap."""
        rows = self._connection.execute(
            "SELECT coalesce(d.live_reference, d.reference) FROM treatment_day d WHERE d.clinic = ?1"
            " AND d.live_sha256 IS NOT NULL AND coalesce(d.standing, '') <> 'paid' AND EXISTS (SELECT 1 FROM submission s"
            " WHERE s.day_id = d.id AND s.state = 'accepted' AND s.destination = ?2) ORDER BY d.service_date DESC, d.id",
            (clinic, destination),
        )
        return [str(row[0]) for row in rows]

    def of_day(self, day_id: int) -> list[dict[str, Any]]:
        """Every answer about any submission of a day, by the time it was said: with its text, which may name a patient."""
        rows = self._connection.execute(
            "SELECT a.said_at, a.received_at, a.stage, a.standing, a.line, a.procedure, a.codes, a.charged_cents, a.paid_cents,"
            " a.adjusted_cents, a.patient_cents, a.payer_claim_number, s.revision, a.text, a.id FROM answer a"
            " JOIN submission s ON s.id = a.submission_id OR (a.submission_id IS NULL AND a.destination_id = s.destination_id"
            " AND a.clinic = s.clinic AND a.destination = s.destination) WHERE s.day_id = ? GROUP BY a.id",
            (day_id,),
        ).fetchall()
        names = ["said_at", "received_at", "stage", "standing", "line", "procedure", "codes", "charged_cents", "paid_cents"]
        names += ["adjusted_cents", "patient_cents", "payer_claim_number", "revision"]
        rows.sort(key=lambda row: (moment(str(row[0]), str(row[1])), row[-1]))
        found = []
        for row in rows:
            text, *texts = json.loads(unpack(blob(row[-2])))
            codes = [
                {"system": system, "code": code, "text": said}
                for (system, code), said in zip(json.loads(str(row[6])), texts, strict=True)
            ]
            found.append({**dict(zip(names, row[:-2], strict=True)), "codes": codes, "text": text})
        return found

    def counts(self, clinic: str, since: str = "") -> list[dict[str, Any]]:
        """Live days by how far they have come: stage, standing, days, units, cents; a day without news stands at `received`.

        `since`: service dates from that one on (ISO).
        """
        rows = self._connection.execute(
            "SELECT coalesce(stage, 'received'), coalesce(standing, 'accepted'), count(*), sum(live_units), sum(live_cents)"
            " FROM treatment_day INDEXED BY treatment_day_by_date WHERE clinic = ? AND service_date >= ?"
            " AND live_sha256 IS NOT NULL GROUP BY 1, 2",
            (clinic, since),
        ).fetchall()
        rows.sort(key=lambda row: (Stage(str(row[0])).place, str(row[1])))
        return [dict(zip(("stage", "standing", "days", "units", "amount_cents"), row, strict=True)) for row in rows]

    def orphans(self, clinic: str) -> list[dict[str, Any]]:
        """News about charges that no submission here made: our ledger of that clinic does not know them."""
        rows = self._connection.execute(
            "SELECT a.reference, a.destination_id, a.stage, a.standing, a.received_at FROM answer a WHERE a.clinic = ?1"
            " AND a.submission_id IS NULL AND NOT EXISTS (SELECT 1 FROM submission s WHERE s.destination = a.destination"
            " AND (s.destination_id = a.destination_id OR s.reference = a.reference)) ORDER BY a.id",
            (clinic,),
        )
        names = ("reference", "destination_id", "stage", "standing", "received_at")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def refused_days(self, clinic: str) -> list[int]:
        """Row ids of the days whose newest charge is rejected or denied, oldest service date first."""
        rows = self._connection.execute(
            "SELECT id FROM treatment_day WHERE clinic = ? AND standing IN ('rejected', 'denied') ORDER BY service_date, id",
            (clinic,),
        )
        return [int(str(row[0])) for row in rows]

    def refused(self, day_id: int) -> RefusedDay | None:
        """What of a day was refused, and what it was made from; None when nothing was."""
        last = self._last(day_id)
        news = self._news(last[0]) if last else []
        if last is None or not news:
            return None
        newest = newest_of(news)
        worst = worst_of(newest)
        row = self._connection.execute(
            "SELECT d.reference, d.service_date, s.units, s.amount_cents, d.payer FROM treatment_day d, submission s"
            " WHERE d.id = ? AND s.id = ?",
            (day_id, last[0]),
        ).fetchone()
        assert row is not None
        page = self.judgement_of(last[0])
        reference, service_date, units, amount_cents, payer = row
        return RefusedDay(
            reference=str(reference),
            service_date=None if service_date is None else str(service_date),
            units=int(str(units)),
            amount_cents=int(str(amount_cents)),
            payer=None if payer is None else str(payer),
            standing=worst.standing,
            stage=worst.stage,
            said=worst.said,
            settled=self._settled(day_id),
            parts=tuple(
                RefusedPart(line=one.line, procedure=one.procedure, codes=one.codes)
                for one in newest
                if one.standing is worst.standing
            ),
            lines=tuple((str(line["procedure"]), int(line["units"]), line["amount_cents"]) for line in page["lines"]),
            let_through=let_through(page),
        )
