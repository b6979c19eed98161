"""Taking out of the ledger what is no longer needed: payloads, bodies and texts of days settled long ago (contract S12).

What stays is the accounting: counts, units, cents, codes, keys, references, digests, and the history with its chain. A purged
row says so in `purged_at`, so that `verify` tells it from one that somebody emptied.

Some of these tables refuse every change by trigger. The triggers are taken off and put back, word for word, inside the one
transaction that purges: nobody else ever sees the ledger without them, and a crash leaves it as it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import apsw

from ptbridge.ledger.database import pack, transaction, unpack
from ptbridge.ledger.history import History
from ptbridge.ledger.news import UNLINKED_OF_DAY

EMPTY = pack(b"")
SAID_PURGED = "purged"  # what an error's text in the summary of an old run becomes
_LIFTED = ("source_record", "visit_version", "day_version", "submission_body", "acknowledgement", "decision", "answer")

# Settled: sent, excluded or voided, and nothing of it open, in doubt, held or unreadable; no word about it since the cutoff; no
# visit that moved away from its live charge and is not settled where it is now; and there is something to take out.
_SETTLED = """
SELECT d.id, d.service_date, d.payer, d.live_units, d.live_cents FROM treatment_day d
WHERE d.clinic = ?1 AND d.service_date < ?2 AND d.dirty = 0 AND d.state IN ('sent', 'excluded', 'voided')
  AND NOT EXISTS (SELECT 1 FROM submission s WHERE s.day_id = d.id
                  AND (s.state IN ('queued', 'sending', 'in-doubt', 'held') OR s.last_attempt_at >= ?3))
  AND NOT EXISTS (SELECT 1 FROM visit v WHERE v.day_id = d.id AND v.state = 'quarantined')
  AND NOT EXISTS (SELECT 1 FROM visit v JOIN treatment_day o ON o.id = v.day_id WHERE v.left_day_id = d.id AND o.id <> d.id
                  AND (o.dirty = 1 OR o.state NOT IN ('sent', 'excluded', 'voided')))
  AND NOT EXISTS (SELECT 1 FROM history h WHERE h.entity = 'day' AND h.entity_id = d.id AND h.event <> 'purged' AND h.at >= ?4)
  AND NOT EXISTS (SELECT 1 FROM visit v JOIN history h ON h.entity = 'visit' AND h.entity_id = v.id
                  WHERE v.day_id = d.id AND h.at >= ?4)
  AND NOT EXISTS (SELECT 1 FROM submission s JOIN answer a ON a.submission_id = s.id
                  WHERE s.day_id = d.id AND a.received_at >= ?4)
  AND (d.purged_at IS NULL OR EXISTS (SELECT 1 FROM visit v JOIN source_record r ON r.id = v.record_id
                                      WHERE v.day_id = d.id AND r.purged_at IS NULL))
ORDER BY d.service_date, d.id
"""
# A visit's records of every version, whichever day they once fed: a visit has one day, and that one is settled.
_RECORDS = """
SELECT r.id FROM going g JOIN visit v ON v.day_id = g.id
JOIN source_record r ON r.clinic = v.clinic AND r.source = v.source AND r.record_key = v.visit_id WHERE r.purged_at IS NULL
"""
_VERSIONS = """
SELECT w.id, w.body, v.visit_id FROM going g JOIN visit v ON v.day_id = g.id JOIN visit_version w ON w.visit = v.id
WHERE w.purged_at IS NULL
"""
_JUDGEMENTS = "SELECT w.id, w.body FROM going g JOIN day_version w ON w.day_id = g.id WHERE w.purged_at IS NULL"
_ANSWERS = f"""
SELECT a.id, json_array_length(a.codes) FROM going g JOIN submission s ON s.day_id = g.id
JOIN answer a ON a.submission_id = s.id OR {UNLINKED_OF_DAY}
GROUP BY a.id
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Settled:
    """A treatment day that nobody waits for. `payer`: its policy, or empty; units and cents are what is live."""

    id: int
    service_date: date
    payer: str
    units: int
    amount_cents: int


@dataclass(slots=True)
class Purged:
    """How much was (or would be) taken out, and the accounting of the days that stays. `messages` are the inbox's."""

    days: int = 0
    units: int = 0
    amount_cents: int = 0
    records: int = 0
    visit_versions: int = 0
    judgements: int = 0
    submissions: int = 0
    answers: int = 0
    messages: int = 0
    run_texts: int = 0

    def add(self, more: Purged) -> None:
        """Count another part in."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(more, one.name))


class Purge:
    """Finds settled days and empties them. Only `jobs/purge.py` uses it."""

    def __init__(self, connection: apsw.Connection, history: History) -> None:
        self._connection = connection
        self._history = history

    def settled(self, clinic: str, cutoff: date, instant: str, seconds: float) -> list[Settled]:
        """Days with a service date before `cutoff` about which nothing happened since; the same moment as text and seconds."""
        rows = self._connection.execute(_SETTLED, (clinic, cutoff.isoformat(), seconds, instant)).fetchall()
        return [
            Settled(int(str(id_)), date.fromisoformat(str(on)), str(payer or ""), int(str(units)), int(str(cents)))
            for id_, on, payer, units, cents in rows
        ]

    def is_purged(self, day_id: int) -> bool:
        """Whether anything of a treatment day was purged."""
        row = self._connection.execute("SELECT purged_at FROM treatment_day WHERE id = ?", (day_id,)).fetchone()
        return row is not None and row[0] is not None

    def standing(self, clinic: str, dates: tuple[str, str]) -> dict[str, Any]:
        """What was purged of these service dates (both included) and still counts: `days`, live `units` and `amount_cents`,
        and `last_at`, the time of the newest purge among them (None without any).
        """
        row = self._connection.execute(
            "SELECT count(*), coalesce(sum(live_units), 0), coalesce(sum(live_cents), 0), max(purged_at) FROM treatment_day"
            " WHERE clinic = ? AND purged_at IS NOT NULL AND service_date BETWEEN ? AND ?",
            (clinic, *dates),
        ).fetchone()
        assert row is not None
        return dict(zip(("days", "units", "amount_cents", "last_at"), row, strict=True))

    def empty(self, clinic: str, days: Iterable[Settled], actor: str) -> Purged:
        """Empty these days in one durable transaction, with a row in the history for each. Raises LedgerError."""
        chosen, at = list(days), self._history.now()
        found = Purged(days=len(chosen))
        found.units, found.amount_cents = sum(day.units for day in chosen), sum(day.amount_cents for day in chosen)
        with transaction(self._connection), self._listed(chosen), self._lifted():
            found.records = self._records(at)
            found.visit_versions = self._rewrite("visit_version", _VERSIONS, at, _visit_that_stays)
            found.judgements = self._rewrite("day_version", _JUDGEMENTS, at, _judgement_that_stays)
            found.submissions, found.answers = self._sent(at)
            self._connection.execute("UPDATE decision SET reason = '' WHERE day_id IN (SELECT id FROM going)")
            self._connection.execute(
                "UPDATE treatment_day SET purged_at = coalesce(purged_at, ?) WHERE id IN (SELECT id FROM going)", (at,)
            )
            self._connection.execute(
                "DELETE FROM biller_had WHERE settled = 1 AND clinic = ?1 AND reference IN"
                " (SELECT reference FROM treatment_day WHERE id IN (SELECT id FROM going))",
                (clinic,),
            )
            for day in chosen:
                self._history.add(clinic, "day", day.id, "purged", "", actor)
        return found

    def empty_runs(self, clinic: str, before: str) -> int:
        """Take the texts of errors out of the summaries of runs that ended before; how many there were stays."""
        changed = 0
        rows = self._connection.execute(
            "SELECT id, summary FROM run WHERE clinic = ? AND finished_at < ? AND summary IS NOT NULL"
            " AND json_array_length(summary, '$.errors') > 0",
            (clinic, before),
        ).fetchall()
        with transaction(self._connection):
            for id_, text in rows:
                summary = json.loads(str(text))
                if set(summary["errors"]) != {SAID_PURGED}:
                    summary["errors"] = [SAID_PURGED] * len(summary["errors"])
                    self._connection.execute("UPDATE run SET summary = ? WHERE id = ?", (json.dumps(summary), id_))
                    changed += 1
        return changed

    def wipe(self) -> None:
        """Bring the emptied pages into the file and cut the log back: until then old pages stand in it. Raises LedgerError."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # ------------------------------------------------------------ what is emptied

    def _records(self, at: str) -> int:
        ids = self._connection.execute(_RECORDS).fetchall()
        self._connection.executemany(
            "UPDATE source_record SET payload = ?, purged_at = ? WHERE id = ?", [(EMPTY, at, id_) for (id_,) in ids]
        )
        return len(ids)

    def _rewrite(self, table: str, query: str, at: str, rest: Callable[..., Mapping[str, Any]]) -> int:
        """Put in place of each body what of it stays."""
        rows = self._connection.execute(query).fetchall()
        for id_, body, *more in rows:
            assert isinstance(body, bytes)
            kept = json.dumps(rest(json.loads(unpack(body)), at, *more)).encode()
            self._connection.execute(f"UPDATE {table} SET body = ?, purged_at = ? WHERE id = ?", (pack(kept), at, id_))  # noqa: S608
        return len(rows)

    def _sent(self, at: str) -> tuple[int, int]:
        """Bodies of submissions, texts of their acknowledgements and answers; the native codes stay."""
        ids = self._connection.execute(
            "SELECT s.id FROM going g JOIN submission s ON s.day_id = g.id WHERE s.purged_at IS NULL"
        ).fetchall()
        self._connection.executemany(
            "UPDATE submission_body SET body = ? WHERE submission_id = ?", [(EMPTY, id_) for (id_,) in ids]
        )
        self._connection.executemany("UPDATE submission SET purged_at = ? WHERE id = ?", [(at, id_) for (id_,) in ids])
        self._connection.execute(
            "UPDATE acknowledgement SET native_text = ''"
            " WHERE submission_id IN (SELECT s.id FROM going g JOIN submission s ON s.day_id = g.id)"
        )
        rows = self._connection.execute(_ANSWERS).fetchall()
        self._connection.executemany(
            "UPDATE answer SET text = ? WHERE id = ?",
            [(pack(json.dumps([""] * (1 + int(str(codes)))).encode()), id_) for id_, codes in rows],
        )
        return len(ids), len(rows)

    # ------------------------------------------------------------ triggers, the list of days

    @contextmanager
    def _lifted(self) -> Iterator[None]:
        """Without the triggers that refuse changes, for the length of a `with` inside a transaction; freed bytes are zeroed."""
        assert self._connection.in_transaction, "outside a transaction others would see the ledger without its triggers"
        found = self._connection.execute("SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        rows = [(name, sql) for name, table, sql in found if table in _LIFTED]
        for name, _ in rows:
            self._connection.execute(f'DROP TRIGGER "{name}"')
        yield
        for _, sql in rows:
            self._connection.execute(str(sql))

    @contextmanager
    def _listed(self, days: Iterable[Settled]) -> Iterator[None]:
        """The days' ids in the table `going`, which is in memory and gone afterwards."""
        self._connection.execute("PRAGMA secure_delete = ON").fetchall()
        self._connection.execute("CREATE TEMP TABLE going (id INTEGER PRIMARY KEY)")
        self._connection.executemany("INSERT INTO going VALUES (?)", [(day.id,) for day in days])
        yield
        self._connection.execute("DROP TABLE temp.going")


# ---------------------------------------------------------------- what stays of a body


def _visit_that_stays(visit: dict[str, Any], at: str, visit_id: str) -> dict[str, Any]:
    """Whose visit it was, by the source's own id, and which lines it documented."""
    lines = [{"line_key": line["line_key"], "not_done": line.get("not_done", False)} for line in visit.get("interventions", ())]
    return {
        "purged_at": at,
        "visit_id": visit_id,
        "patient": {"id": visit["patient"]["id"]},
        "interventions": lines,
    }


_KEPT = (
    "reference",
    "clinic",
    "service_date",
    "discipline",
    "payer",
    "payer_as_given",
    "state",
    "action",
    "units",
    "amount_cents",
)
_KEPT_OF_LINE = ("line", "procedure", "modifiers", "units", "minutes", "unit_price_cents", "amount_cents", "line_keys")


def _judgement_that_stays(page: dict[str, Any], at: str) -> dict[str, Any]:
    """What was billed or not, and under which codes; without diagnoses, documentation, reasons in words and remarks."""
    decision = page.get("decision")
    return {
        **{name: page.get(name) for name in _KEPT},
        "purged_at": at,
        "change": None,
        "visits": page["visits"],
        "documented": [],
        "lines": [{**{name: line.get(name) for name in _KEPT_OF_LINE}, "because": []} for line in page["lines"]],
        "diagnoses": [],
        "exclusions": [
            {"line_key": one["line_key"], "procedure": one.get("procedure"), "rule": one["rule"], "because": ""}
            for one in page["exclusions"]
        ],
        "acceptable": [],
        "because": [f"the documentation, the diagnoses and every text of this day were purged on {at[:10]}; the figures stay"],
        "findings": [
            {"code": one["code"], "severity": one["severity"], "message": "(purged)", "fix": ""} for one in page["findings"]
        ],
        "emr_differs": [],
        "decision": decision and {"kind": decision["kind"], "reason": "", "actor": decision["actor"]},
    }
