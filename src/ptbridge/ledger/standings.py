"""How what was sent stands: how far each day has come by what was said of it, and what of it was refused. Reads only.

A claim that was rejected or denied asks for a new judgement of its day; `refusal` is what that is told.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import apsw

from ptbridge.ledger.database import unpack
from ptbridge.ledger.news import (
    MADE_AGAIN,
    REFUSED,
    SEEN,
    UNLINKED_OF_DAY,
    LastTaken,
    News,
    last_taken,
    moment,
    newest_of,
    news_of,
    worst_of,
)
from ptbridge.model import Frequency, NativeCode, Stage, Standing

_COUNTS = """
SELECT coalesce(stage, 'received'), coalesce(standing, 'accepted'), count(*), sum(live_units), sum(live_cents)
FROM treatment_day INDEXED BY treatment_day_by_date
WHERE clinic = ? AND service_date >= ? AND live_sha256 IS NOT NULL GROUP BY 1, 2
"""
_OPEN = """
SELECT coalesce(d.live_reference, d.reference) FROM treatment_day d
WHERE d.clinic = ?1 AND d.live_sha256 IS NOT NULL AND coalesce(d.standing, '') <> 'paid'
  AND EXISTS (SELECT 1 FROM submission s WHERE s.day_id = d.id AND s.state = 'accepted' AND s.destination = ?2)
ORDER BY d.service_date DESC, d.id
"""
# With what named the platform's id before the submission was known here by it, and what is about one of a lost ledger: that
# has no revision here unless the same was made again.
_OF_DAY = f"""
SELECT a.said_at, a.received_at, a.stage, a.standing, a.line, a.procedure, a.codes, a.charged_cents, a.paid_cents,
       a.adjusted_cents, a.patient_cents, a.payer_claim_number,
       max(iif(a.submission_key IS NULL OR ({MADE_AGAIN}), s.revision, NULL)), a.text, a.id
FROM submission s CROSS JOIN answer a ON a.submission_id = s.id OR {UNLINKED_OF_DAY}
WHERE s.day_id = ? GROUP BY a.id
"""  # noqa: S608
_ORPHANS = f"""
SELECT a.id, a.reference, a.destination_id, a.stage, a.standing, a.received_at,
  EXISTS (SELECT 1 FROM history h WHERE h.entity = 'answer' AND h.entity_id = a.id AND h.event = '{SEEN}'), a.codes, a.text
FROM answer a WHERE a.clinic = ? AND a.submission_id IS NULL
  AND NOT EXISTS (SELECT 1 FROM submission s WHERE s.destination = a.destination
                  AND (s.destination_id = a.destination_id OR s.reference = a.reference))
ORDER BY a.id
"""  # noqa: S608
_REFUSED_DAYS = """
SELECT id FROM treatment_day WHERE clinic = ? AND standing IN ('rejected', 'denied') ORDER BY service_date, id
"""
_SENT = """
SELECT d.reference, d.service_date, s.units, s.amount_cents, d.payer FROM treatment_day d, submission s
WHERE d.id = ? AND s.id = ?
"""
# A release of something else than a refusal leaves it open.
_SETTLED = """
SELECT event FROM history WHERE entity = 'day' AND entity_id = ?
  AND (event IN ('rejected', 'denied') OR (event = 'release' AND detail LIKE '%RJ0%')) ORDER BY seq DESC LIMIT 1
"""
_JUDGEMENT = """
SELECT w.body FROM submission s JOIN day_version w ON w.day_id = s.day_id AND w.run_id <= s.run_id
WHERE s.id = ? ORDER BY w.id DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedPart:
    """One refused claim (`line` None) or line of it, with the codes as they came."""

    line: int | None
    procedure: str | None
    codes: tuple[NativeCode, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why what the biller took last was turned away or not paid.

    `frequency` is that submission's; `let_through` are the findings that did not hold it when it was sent.
    """

    standing: Standing
    stage: Stage
    frequency: Frequency
    parts: tuple[RefusedPart, ...]
    let_through: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RefusedDay:
    """A refused day for lists of them. `units` and `amount_cents` are what was sent; `lines` its procedures, units and cents.

    `settled`: a person has released it since.
    """

    reference: str
    service_date: str | None
    units: int
    amount_cents: int
    payer: str | None
    standing: Standing
    stage: Stage
    said: datetime
    settled: bool
    parts: tuple[RefusedPart, ...]
    lines: tuple[tuple[str, int, int | None], ...]
    let_through: tuple[str, ...]


class Standings:
    """Read-only questions about the table `answer`, and about what it made of the days."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def counts(self, clinic: str, since: str = "") -> list[dict[str, Any]]:
        """Live days by how far they have come: stage, standing, days, units, cents; a day without news stands at `received`.

        `since`: service dates from that one on (ISO).
        """
        rows = self._connection.execute(_COUNTS, (clinic, since)).fetchall()
        rows.sort(key=lambda row: (Stage(str(row[0])).place, str(row[1])))
        return [dict(zip(("stage", "standing", "days", "units", "amount_cents"), row, strict=True)) for row in rows]

    def open_references(self, clinic: str, destination: str) -> list[str]:
        """What is live and not yet paid, newest service date first: to be asked for one by one when the feed has a gap."""
        rows = self._connection.execute(_OPEN, (clinic, destination))
        return [str(row[0]) for row in rows]

    def of_day(self, day_id: int) -> list[dict[str, Any]]:
        """Every answer about any submission of a day, by the time it was said: with its text, which may name a patient."""
        rows = self._connection.execute(_OF_DAY, (day_id,)).fetchall()
        names = ["said_at", "received_at", "stage", "standing", "line", "procedure", "codes", "charged_cents", "paid_cents"]
        names += ["adjusted_cents", "patient_cents", "payer_claim_number", "revision"]
        rows.sort(key=lambda row: (moment(str(row[0]), str(row[1])), row[-1]))
        found = []
        for row in rows:
            text, *texts = json.loads(unpack(_blob(row[-2])))
            codes = [
                {"system": system, "code": code, "text": said}
                for (system, code), said in zip(json.loads(str(row[6])), texts, strict=True)
            ]
            found.append({**dict(zip(names, row[:-2], strict=True)), "codes": codes, "text": text})
        return found

    def orphans(self, clinic: str) -> list[dict[str, Any]]:
        """News about charges that no submission here made: our ledger of that clinic does not know them.

        `unreadable`: where an answer could not be read, the sentence that names it and what to do; else None. Other texts
        of the other side may name a patient and are not given. `seen`: a person has looked at it since (`Answers.see`).
        """
        names = ("id", "reference", "destination_id", "stage", "standing", "received_at", "seen")
        found = []
        for *row, codes, text in self._connection.execute(_ORPHANS, (clinic,)):
            said = [code for _, code in json.loads(str(codes))]
            unreadable = json.loads(unpack(text))[0] if any(code.startswith("unreadable") for code in said) else None
            one = dict(zip(names, row, strict=True))
            found.append({**one, "seen": bool(one["seen"]), "codes": said, "unreadable": unreadable})
        return found

    def refused_days(self, clinic: str) -> list[int]:
        """Row ids of the days whose newest charge is rejected or denied, oldest service date first."""
        rows = self._connection.execute(_REFUSED_DAYS, (clinic,))
        return [int(str(row[0])) for row in rows]

    def refused(self, day_id: int) -> RefusedDay | None:
        """What of a day was refused, and what it was made from; None when nothing was."""
        found = self._refused(day_id)
        if found is None:
            return None
        last, worst, parts = found
        row = self._connection.execute(_SENT, (day_id, last.submission_id)).fetchone()
        assert row is not None
        reference, service_date, units, amount_cents, payer = row
        page = self.judgement_of(last.submission_id)
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
            parts=parts,
            lines=tuple((str(line["procedure"]), int(line["units"]), line["amount_cents"]) for line in page["lines"]),
            let_through=_let_through(page),
        )

    def refusal(self, day_id: int) -> Refusal | None:
        """Why what is live of a day was rejected or denied, unless a person has released exactly that. None: it was not."""
        found = None if self._settled(day_id) else self._refused(day_id)
        if found is None:
            return None
        last, worst, parts = found
        return Refusal(
            standing=worst.standing,
            stage=worst.stage,
            frequency=last.frequency,
            parts=parts,
            let_through=_let_through(self.judgement_of(last.submission_id)),
        )

    def _refused(self, day_id: int) -> tuple[LastTaken, News, tuple[RefusedPart, ...]] | None:
        """What counts of a day, the word that it stands at, and each part that this was said of; None for good news."""
        last = last_taken(self._connection, day_id)
        if last is None or last.standing not in REFUSED:
            return None
        newest = newest_of(news_of(self._connection, last.submission_id))
        worst = worst_of(newest)
        said = (one for one in newest if one.standing is worst.standing)
        return last, worst, tuple(RefusedPart(line=one.line, procedure=one.procedure, codes=one.codes) for one in said)

    def _settled(self, day_id: int) -> bool:
        """Whether a person released the day since the last bad news about it."""
        last = self._connection.execute(_SETTLED, (day_id,)).fetchone()
        return last is not None and last[0] == "release"

    def judgement_of(self, submission_id: int) -> dict[str, Any]:
        """The judgement that a submission was made from, as `explain` shows one; without lines or findings when it is gone."""
        row = self._connection.execute(_JUDGEMENT, (submission_id,)).fetchone()
        page: dict[str, Any] = json.loads(unpack(_blob(row[0]))) if row else {"findings": [], "lines": []}
        return page


def _let_through(page: dict[str, Any]) -> tuple[str, ...]:
    """Codes of the findings of a judgement that did not keep it here; what an earlier refusal said is none of them."""
    return tuple(sorted({str(finding["code"]) for finding in page["findings"] if not str(finding["code"]).startswith("RJ")}))


def _blob(value: apsw.SQLiteValue) -> bytes:
    """A column that holds bytes."""
    assert isinstance(value, bytes)
    return value
