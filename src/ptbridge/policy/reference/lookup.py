"""The reference files as the edits ask them: by code and service date, each answer with its source."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

from ptbridge.errors import ConfigError
from ptbridge.policy.reference import add_on, mue, ptp, rvu
from ptbridge.policy.reference.days import day_of, packed_day
from ptbridge.policy.reference.index import Entry, read_index
from ptbridge.policy.reference.kinds import KINDS, Period
from ptbridge.policy.reference.packed import AGAIN, PackedTable, key, pack
from ptbridge.policy.reference.shipped import SHIPPED, shipped_add_on, shipped_icd10, shipped_mue, shipped_pair
from ptbridge.policy.reference.tables import Table
from ptbridge.policy.reference.thresholds import Threshold, read_thresholds, shipped_thresholds
from ptbridge.policy.reference.values import AddOn, Mue, PairEdit, Rvu, TherapyDisposition

_HAVE_SHIPPED = frozenset({"ptp", "mue", "add_on"})
MOST_REMEMBERED = 50_000  # pairs, or sets of codes with a date: some 10 MB each


@dataclass(frozen=True, slots=True)
class Edition:
    """One loaded edition with its open look-up file; thresholds have none."""

    entry: Entry
    table: PackedTable | None
    _pairs: dict[tuple[str, str], list[tuple[Any, ...]]] = field(default_factory=dict, repr=False)

    def find(self, key: int) -> list[tuple[Any, ...]]:
        """The records under a key."""
        return self.table.find(key) if self.table else []

    def pair_records(self, column1: str, column2: str) -> list[tuple[Any, ...]]:
        """The records of a pair. Remembered: a clinic bills a few dozen codes, and asks about the same pairs every day."""
        asked = column1, column2
        found = self._pairs.get(asked)
        if found is None:
            five = all(len(code) == 5 and code.isalnum() and code.isascii() for code in asked)
            if len(self._pairs) >= MOST_REMEMBERED:
                self._pairs.clear()
            found = self._pairs[asked] = self.find(ptp.pair_key(column1, column2)) if five else []
        return found


class Reference:
    """What is loaded, with the shipped small tables behind it. Read-only; nothing is read before it is asked for.

    A loaded edition answers for the service dates of its own period only: a later quarter's history is not asked about an
    earlier date, because the quarter of the service date is what the payer applies.
    """

    def __init__(self, editions: Sequence[Edition] = (), thresholds: dict[tuple[str, int], Threshold] | None = None) -> None:
        self._editions: dict[str, list[Edition]] = {}
        for edition in sorted(editions, key=lambda edition: edition.entry.period.first, reverse=True):
            self._editions.setdefault(edition.entry.kind, []).append(edition)
        self._by_date: dict[tuple[str, date], Edition | None] = {}
        self._among: dict[tuple[frozenset[str], date, str], tuple[PairEdit, ...]] = {}
        self._maximums: dict[tuple[str, date, str], Mue | None] = {}
        self._thresholds = shipped_thresholds() | (thresholds or {})

    @classmethod
    def open(cls, folder: Path | None) -> Reference:
        """The reference folder of a config folder; without one, or with an empty one, the shipped tables alone.

        Raises ConfigError when the index or a file that it names is damaged or missing.
        """
        if folder is None:
            return cls()
        entries = read_index(folder)
        try:
            return cls._opened(folder, entries)
        except ConfigError:
            newer = read_index(folder)
            if newer == entries:
                raise
            return cls._opened(folder, newer)  # a load came in between

    @classmethod
    def _opened(cls, folder: Path, entries: Sequence[Entry]) -> Reference:
        editions: list[Edition] = []
        thresholds: dict[tuple[str, int], Threshold] = {}
        for entry in sorted(entries, key=lambda entry: entry.loaded_at):  # of two threshold tables the newer load speaks
            path = folder / entry.file
            if not path.is_file() or path.stat().st_size != entry.bytes:
                raise ConfigError(f"is missing or was changed. {AGAIN}", where=str(path))
            if entry.kind == "thresholds":
                loaded = read_thresholds(path.read_text("utf-8").splitlines(), str(path))
                thresholds |= {asked: replace(one, table=f"loaded: {entry.texts[0]}") for asked, one in loaded.items()}
                editions.append(Edition(entry, None))
            else:
                editions.append(Edition(entry, PackedTable.open(path)))
        return cls(editions, thresholds)

    # ------------------------------------------------------------ which edition

    def entries(self, kind: str) -> tuple[Entry, ...]:
        """The loaded editions of a kind, the newest first."""
        return tuple(edition.entry for edition in self._editions.get(kind, ()))

    def covers(self, kind: str, on: date) -> bool:
        """Whether a loaded edition speaks for a service date (for thresholds: a loaded or a shipped year)."""
        if kind == "thresholds":
            return ("PT_SLP", on.year) in self._thresholds
        return self._edition(kind, on) is not None

    def source(self, kind: str, on: date) -> str:
        """What answers for that date: the edition with its file, or that it is the shipped table, or that nothing does."""
        if kind == "thresholds":
            found = self._thresholds.get(("PT_SLP", on.year))
            return found.cited if found else f"nothing: no therapy threshold of {on.year} is known"
        edition = self._edition(kind, on)
        if edition is not None:
            return edition.entry.cited
        if kind in _HAVE_SHIPPED:
            return SHIPPED
        if kind == "icd10" and on in shipped_icd10()[1]:
            return f"{shipped_icd10()[0]} (shipped)"
        return f"nothing: {KINDS[kind].title} is not loaded for {on}"

    def periods(self, kind: str) -> tuple[Period, ...]:
        """The service dates that are covered, ascending: loaded ones, and shipped ones that are complete."""
        if kind == "thresholds":
            years = sorted({year for _, year in self._thresholds})
            return tuple(Period(str(year), date(year, 1, 1), date(year, 12, 31)) for year in years)
        found = {entry.period for entry in self.entries(kind)}
        if kind == "icd10":
            found.add(shipped_icd10()[1])
        return tuple(sorted(found, key=lambda period: period.first))

    def _edition(self, kind: str, on: date) -> Edition | None:
        asked = kind, on
        if asked not in self._by_date:
            editions = self._editions.get(kind, ())
            self._by_date[asked] = next((edition for edition in editions if on in edition.entry.period), None)
        return self._by_date[asked]

    # ------------------------------------------------------------ look-ups

    def pair(self, column1: str, column2: str, on: date, *, program: str = "medicare") -> PairEdit | None:
        """The pair in this direction, when it is active on a service date. `program` is `medicare` or `medicaid`."""
        edition = self._edition("ptp" if program == "medicare" else "ptp_medicaid", on)
        if edition is None:
            return shipped_pair(column1, column2, on) if program == "medicare" else None
        records = edition.pair_records(column1, column2)
        active = ptp.windows(records, on) if records else []
        if not active:
            return None
        effective, deletion, indicator = active[0]
        return PairEdit(
            column1=column1,
            column2=column2,
            indicator=indicator,
            effective=day_of(effective),
            deletion=day_of(deletion),
            period=edition.entry.period.name,
            source=edition.entry.cited,
        )

    def pair_between(self, one: str, other: str, on: date, *, program: str = "medicare") -> PairEdit | None:
        """The active pair of two codes, whichever is column 1; None when they may stand together."""
        first = self.pair(one, other, on, program=program)
        second = self.pair(other, one, on, program=program)
        if first is None or second is None:
            return first or second
        return min(first, second, key=lambda pair: pair.indicator)

    def pairs_among(self, codes: frozenset[str], on: date, *, program: str = "medicare") -> tuple[PairEdit, ...]:
        """The active pairs of a day's codes, by their codes. Remembered: a clinic's days repeat the same few sets of codes."""
        asked = codes, on, program
        found = self._among.get(asked)
        if found is None:
            if len(self._among) >= MOST_REMEMBERED:
                self._among.clear()
            both = combinations(sorted(codes), 2)
            pairs = (self.pair_between(one, other, on, program=program) for one, other in both)
            found = self._among[asked] = tuple(pair for pair in pairs if pair is not None)
        return found

    def mue(self, code: str, on: date, *, program: str = "medicare") -> Mue | None:
        """The unit maximum of a code; None when it is not known (confidential values exist: that is not unlimited)."""
        asked = code, on, program
        if asked not in self._maximums:
            if len(self._maximums) >= MOST_REMEMBERED:
                self._maximums.clear()
            self._maximums[asked] = self._maximum(code, on, program)
        return self._maximums[asked]

    def _maximum(self, code: str, on: date, program: str) -> Mue | None:
        edition = self._edition("mue" if program == "medicare" else "mue_medicaid", on)
        if edition is None:
            return shipped_mue(code, on) if program == "medicare" else None
        for value, mai in _of(edition, code):
            return Mue(code=code, value=value, mai=mai, source=edition.entry.cited)
        return None

    def add_on(self, code: str, on: date) -> AddOn | None:
        """What a code adds to; None when it is not an add-on code on that date."""
        edition = self._edition("add_on", on)
        if edition is None:
            return shipped_add_on(code, on)
        day = packed_day(on)
        rows = [row for row in _of(edition, code) if ptp.active(row[2], row[3], day)]
        if not rows:
            return None
        primaries = frozenset(row[0].decode() for row in rows) - {add_on.BY_CONTRACTOR}
        by_contractor = any(row[1] != 1 for row in rows)
        return AddOn(code=code, primaries=primaries, by_contractor=by_contractor, source=edition.entry.cited)

    def rvu(self, code: str, on: date, *, modifier: str = "", qualifying: bool = False) -> Rvu | None:
        """A code's relative values; `qualifying` asks for the qualifying APM participant's file."""
        edition = self._edition("rvu_qpp" if qualifying else "rvu", on)
        for row in _of(edition, code + modifier) if edition else ():
            words = [word.decode("latin-1").rstrip("\0") for word in row[:4]]
            values = [None if value == rvu.ABSENT else value for value in row[4:10]]
            return _rvu(code, modifier, words, values, row[10], edition.entry.cited if edition else "")
        return None

    def therapy(self, code: str, on: date) -> TherapyDisposition | None:
        """What the therapy code list says of a code; None when it is not on it or no list is loaded for that date."""
        edition = self._edition("therapy", on)
        for (always,) in _of(edition, code) if edition else ():
            return TherapyDisposition(code=code, always=bool(always), source=edition.entry.cited if edition else "")
        return None

    def icd10(self, code: str, on: date) -> bool | None:
        """Whether a diagnosis code (with or without its dot) can be billed; None when no loaded file covers the date."""
        edition = self._edition("icd10", on)
        if edition is None:
            return None
        return any(billable for (billable,) in _of(edition, code.replace(".", "")))

    def threshold(self, group: str, year: int) -> Threshold | None:
        """The therapy threshold of `PT_SLP` or `OT` in a year, a loaded table's before the shipped one's; None when unknown."""
        return self._thresholds.get((group, year))


def _of(edition: Edition, code: str) -> list[tuple[Any, ...]]:
    """The records of one code; none for what cannot be a code."""
    if not code.isalnum() or not code.isascii() or len(code) > 11:
        return []
    return edition.find(key(code))


def _rvu(code: str, modifier: str, words: list[str], values: list[int | None], factor: int, source: str) -> Rvu:
    return Rvu(
        code=code,
        modifier=modifier,
        status=words[0],
        pctc=words[1],
        global_days=words[2],
        multiple_procedure=words[3],
        work=values[0],
        practice_non_facility=values[1],
        practice_facility=values[2],
        malpractice=values[3],
        total_non_facility=values[4],
        total_facility=values[5],
        factor=factor,
        source=source,
    )


def reference_of(
    period: Period,
    *,
    pairs: Sequence[PairEdit] | None = None,
    maximums: Sequence[Mue] | None = None,
    add_ons: Sequence[AddOn] | None = None,
    name: str = "table",
) -> Reference:
    """A reference in memory whose loaded editions are these tables: what is None is not loaded.

    For the cases of a manual page, and wherever a small table is to be asked as a large one is. Raises ValueError for a date
    that does not fit.
    """
    editions: list[Edition] = []
    if pairs is not None:
        rows = sorted(
            (ptp.pair_key(pair.column1, pair.column2), packed_day(pair.effective), packed_day(pair.deletion), pair.indicator)
            for pair in pairs
        )
        records = array("I", (start << 16 | end << 1 | indicator for _, start, end, indicator in rows)).tobytes()
        editions.append(_in_memory("ptp", period, name, [row[0] for row in rows], records, ptp.FORMAT))
    if maximums is not None:
        table = Table("mue", mue.FORMAT)
        for maximum in maximums:
            table.add(maximum.code, maximum.value, maximum.mai)
        editions.append(_in_memory("mue", period, name, *table.sorted(), mue.FORMAT))
    if add_ons is not None:
        table = Table("add_on", add_on.FORMAT)
        for one in add_ons:
            primaries = [(code, 3 if one.by_contractor else 1) for code in one.primaries] or [(add_on.BY_CONTRACTOR, 2)]
            for primary, kind in primaries:
                table.add(one.code, primary.encode(), kind, packed_day(period.first), packed_day(None))
        editions.append(_in_memory("add_on", period, name, *table.sorted(), add_on.FORMAT))
    return Reference(editions)


def _in_memory(kind: str, period: Period, name: str, keys: Sequence[int], records: bytes, record_format: str) -> Edition:
    data = pack(keys, records, record_format, {"kind": kind})
    entry = Entry(kind=kind, period=period, file="", bytes=len(data), sha256="", sources=(), texts=(name,))
    return Edition(entry, PackedTable(data, name))
