"""Charge extracts as a source: complete files of a folder, oldest first, each cut into one record per visit.

A record's payload is the heading line and the visit's lines, byte for byte (a workbook's rows as CSV); its `version` names
file and lines. A file is checked whole before anything of it is taken. Its last batch carries the cursor, and only when that
is durable does the file move away: a crash in between is recognised by name and SHA-256.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import date

import orjson

from ptbridge.errors import ConfigError
from ptbridge.model import SourceRecord
from ptbridge.ports import Pulled
from ptbridge.wire.extract_file import ExtractFile, cut, day_of
from ptbridge.wire.extract_folder import Arrival, ExtractFolder, read_file
from ptbridge.wire.extract_merge import laid_over, version_of
from ptbridge.wire.extract_profile import ExtractProfile
from ptbridge.wire.extract_rows import BrokenFile
from ptbridge.wire.extract_totals import MAX_SIDECAR_BYTES
from ptbridge.wire.source_client import SourceClient

log = logging.getLogger(__name__)

BATCH = 200  # visits made durable together
REMEMBERED = 200  # files whose name and hash the cursor keeps, for a crash between taking a file and moving it


async def pull_extracts(client: SourceClient, cursor: Mapping[str, str]) -> AsyncIterator[Pulled]:
    """Every complete file's visits, in batches. Raises ConfigError, and PeerUnavailable for a folder that is not there."""
    for batch in _Pull(client, cursor).batches():
        yield batch


async def describe_extracts(client: SourceClient) -> list[str]:
    """Plain sentences: what lies in the folder, and how files are read."""
    profile = _profile(client)
    folder = _folder(client, profile)
    now = client.now()
    return [
        f"{folder.path}: files complete {len(folder.arrivals(now))}, not complete yet {folder.unfinished(now)}.",
        f"A visit is told by {profile.visit_column}, its charges by {profile.charge_column}.",
        _MEANINGS[profile.holds],
        "A visit that a file does not hold is taken as deleted."
        if profile.absent == "gone"
        else "A visit that a file does not hold, within the file's own dates, is taken as deleted."
        if profile.absent == "gone-in-range"
        else "Deletions are not seen: a visit that a file does not hold stays as it is.",
        f"Control totals ({profile.totals.place}) are checked before anything of a file is taken."
        if profile.totals
        else "There are no control totals: a file that was cut off between two rows cannot be told from a whole one.",
    ]


_MEANINGS = {
    "all": "A file holds every visit, each with all of its rows.",
    "changed-visits": "A file holds the visits that changed, each with all of its rows.",
    "changed-rows": "A file holds the rows that changed; they are laid over the rows that came before.",
}


def _profile(client: SourceClient) -> ExtractProfile:
    if client.extract is None:
        raise ConfigError(
            "the mapping has no section `extract`, so nothing says which column tells a visit. Extend one that has."
        )
    return client.extract


def _folder(client: SourceClient, profile: ExtractProfile) -> ExtractFolder:
    ending = profile.totals.ending if profile.totals and profile.totals.place == "sidecar" else None
    return ExtractFolder(client.folder, client.options, sidecar_ending=ending)


class _Pull:
    """One run over the folder."""

    def __init__(self, client: SourceClient, cursor: Mapping[str, str]) -> None:
        self._client = client
        self._profile = _profile(client)
        self._folder = _folder(client, self._profile)
        self._taken: list[str] = orjson.loads(cursor.get("taken", "[]"))
        self._newest = cursor.get("newest", "")
        self._columns = frozenset(orjson.loads(cursor.get("columns", "[]")))
        self._unread = frozenset(client.known.unread()) if client.known else frozenset()

    def batches(self) -> Iterator[Pulled]:
        for arrival in self._folder.arrivals(self._client.now()):
            try:
                yield from self._file(arrival)
            except BrokenFile as error:
                reason = f"{arrival.name}: {error}"
                log.warning("an extract was refused: %s", reason)
                yield Pulled(unreadable=((self._record(f"file:{arrival.name}", "text/plain", reason.encode(), ""), reason),))
                if not self._client.rehearsal:
                    self._folder.refused(arrival, reason)

    def _file(self, arrival: Arrival) -> Iterator[Pulled]:
        if arrival.strange:
            raise BrokenFile(f"is {arrival.strange}, not a file. Put the file itself here.")
        data = read_file(arrival.path)
        sidecar = read_file(self._folder.sidecar(arrival), most=MAX_SIDECAR_BYTES) if self._with_sidecar else b""
        if data is None or sidecar is None:
            return  # still being written: the next run takes it
        mark = f"{arrival.name} {hashlib.sha256(data).hexdigest()}"
        if mark not in self._taken:
            self._refuse_older(arrival)
            file = cut(arrival.name, data, self._profile, sidecar)
            self._refuse_fewer_columns(file)
            yield from self._batches_of(file, self._cursor_after(arrival, mark))
        if not self._client.rehearsal:
            self._folder.processed(arrival)

    @property
    def _with_sidecar(self) -> bool:
        return self._profile.totals is not None and self._profile.totals.place == "sidecar"

    def _refuse_older(self, arrival: Arrival) -> None:
        """An older file would bring back what a newer one has changed."""
        if arrival.age < self._newest:
            raise BrokenFile(
                "is older than a file that was taken before, so it would undo what has changed since. Export its visits again "
                "under a newer name; where names do not sort by date, set source.options.order to time."
            )

    def _refuse_fewer_columns(self, file: ExtractFile) -> None:
        """A column of modifiers that vanishes would take them off every claim, so a person says that it is meant."""
        mapped = {column for group in self._profile.columns for column in group} | self._profile.optional
        accepted = str(self._client.options.get("dropped_columns", "")).split()
        lost = sorted(self._columns & mapped - file.header.keys() - set(accepted))
        if lost:
            raise BrokenFile(
                f"the columns {', '.join(lost)} were in the files before and are not in this one. Export them again, or name "
                "them under source.options.dropped_columns."
            )
        self._columns = frozenset(mapped & file.header.keys())

    def _cursor_after(self, arrival: Arrival, mark: str) -> dict[str, str]:
        self._taken = [*self._taken, mark][-REMEMBERED:]
        self._newest = max(self._newest, arrival.age)
        columns = orjson.dumps(sorted(self._columns)).decode()
        return {"taken": orjson.dumps(self._taken).decode(), "newest": self._newest, "columns": columns}

    # ------------------------------------------------------------ one file

    def _batches_of(self, file: ExtractFile, cursor: dict[str, str]) -> Iterator[Pulled]:
        records: list[SourceRecord] = []
        unreadable = [
            (self._record(stray.key, file.media_type, file.heading + stray.row.raw, version_of(file.name, [stray.row])),
             f"{file.name}: {stray.reason}")
            for stray in file.strays
        ]  # fmt: skip
        for visit_id in file.visits:
            try:
                record = self._visit(visit_id, file)
            except BrokenFile as error:
                unreadable.append((self._plain(visit_id, file), f"{file.name}: {error}"))
                continue
            if record is not None:
                records.append(record)
            if len(records) >= BATCH:
                yield Pulled(records=tuple(records))
                records = []
        yield Pulled(records=tuple(records), unreadable=tuple(unreadable), gone=self._gone(file), cursor=cursor)

    def _visit(self, visit_id: str, file: ExtractFile) -> SourceRecord | None:
        """The visit's record; None when its day lies before the clinic's first and it was never taken."""
        plain = self._plain(visit_id, file)
        since, known = self._client.since, self._client.known
        earlier = known.latest(visit_id) if known and (since or self._profile.holds == "changed-rows") else None
        if since and earlier is None and self._ended_before(since, visit_id, file):
            return None
        if self._profile.holds != "changed-rows" or earlier is None:
            return plain
        payload, version = laid_over(earlier, file, visit_id, self._profile)
        return self._record(visit_id, file.media_type, payload, version)

    def _ended_before(self, since: date, visit_id: str, file: ExtractFile) -> bool:
        days = [day_of(file.cell(row, self._profile.date_column), self._profile) for row in file.visits[visit_id]]
        return all(day is not None and day < since for day in days)

    def _plain(self, visit_id: str, file: ExtractFile) -> SourceRecord:
        rows = file.visits[visit_id]
        payload = file.heading + b"".join(row.raw for row in rows)
        return self._record(visit_id, file.media_type, payload, version_of(file.name, rows))

    def _record(self, key: str, media_type: str, payload: bytes, version: str) -> SourceRecord:
        return SourceRecord(
            clinic=self._client.clinic,
            source=self._client.source,
            record_key=key,
            media_type=media_type,
            payload=payload,
            received_at=self._client.now(),
            version=version,
        )

    # ------------------------------------------------------------ what is no longer there

    def _gone(self, file: ExtractFile) -> tuple[str, ...]:
        """Refused files and stray rows that this file makes good, and visits whose absence means deletion."""
        gone = {f"file:{file.name}"} | {f"row:{charge}" for charge in self._charges(file)}
        gone &= self._unread
        if self._profile.holds == "all":
            gone |= {key for key in self._unread if key.startswith(("file:", "row:"))} - {stray.key for stray in file.strays}
        if self._client.known and not file.strays and file.visits:  # a stray row may be the visit that seems absent
            gone |= self._absent(file)
        return tuple(sorted(gone))

    def _charges(self, file: ExtractFile) -> Iterator[str]:
        for rows in file.visits.values():
            for row in rows:
                yield file.cell(row, self._profile.charge_column)

    def _absent(self, file: ExtractFile) -> set[str]:
        known = self._client.known
        if known is None or self._profile.absent == "kept":
            return set()
        first, last = date.min, date.max
        if self._profile.absent == "gone-in-range":
            days = sorted(file.days(self._profile))
            if not days:
                return set()
            first, last = days[0], days[-1]
        return {key for key in known.between(first, last) if key not in file.visits}
