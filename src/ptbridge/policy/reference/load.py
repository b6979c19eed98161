"""`ptbridge reference load`: official files into look-up files, all of them or nothing.

Every file is read and packed first; then the look-up files are written under names that nothing refers to yet, and one atomic
rename of the index makes them all current at once. A crash at any point leaves what was loaded before.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from ptbridge.errors import ConfigError
from ptbridge.policy.reference import add_on, icd10, mue, ptp, rvu, therapy, thresholds
from ptbridge.policy.reference.index import INDEX, Entry, index_bytes, read_index
from ptbridge.policy.reference.kinds import KINDS, Period, period_named, period_of
from ptbridge.policy.reference.packed import pack
from ptbridge.policy.reference.sources import Text, open_sources
from ptbridge.policy.reference.tables import Table

PARTS = 4  # CMS publishes the practitioner pairs of a quarter in four files
_PART = re.compile(r"-f(\d+)\.", re.IGNORECASE)
_REVISION = re.compile(r"v\d{3}r(\d+)", re.IGNORECASE)
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load did: the editions that are new, the members that were left alone."""

    loaded: tuple[Entry, ...]
    ignored: tuple[str, ...]


def load(
    paths: Sequence[Path], folder: Path, *, period: str | None = None, parts: int = PARTS, told: Told = lambda _: None
) -> LoadReport:
    """Load official files into a reference folder.

    `period` says what the names do not; `parts` how many files a quarter's pair table has.

    Raises ConfigError, and changes nothing, when any file cannot be read, is not known, or is only a part.
    """
    opened = open_sources(paths)
    editions, ignored = _editions(opened.texts, period_named(period) if period else None)
    for (kind, _), texts in editions.items():
        _refuse_incomplete(kind, texts, parts)
    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
    folder.mkdir(parents=True, exist_ok=True)
    with _only_writer(folder):
        before = read_index(folder)
        _refuse_older(editions, before)
        fresh: list[Entry] = []
        try:
            for (kind, found), texts in editions.items():
                told(f"reading {KINDS[kind].title}, {found.name}")
                fresh.append(_store(folder, kind, found, texts, digests))
            _commit(folder, before, fresh)
        except BaseException:
            _sweep(folder, {entry.file for entry in read_index(folder)})
            raise
    return LoadReport(tuple(fresh), (*opened.ignored, *ignored))


# ---------------------------------------------------------------- which edition is each text


def _editions(texts: Sequence[Text], said: Period | None) -> tuple[dict[tuple[str, Period], list[Text]], list[str]]:
    editions: dict[tuple[str, Period], list[Text]] = {}
    ignored: list[str] = []
    for text in texts:
        kind = kind_of(text)
        if kind is not None:
            editions.setdefault((kind, _period(kind, text, said)), []).append(text)
        elif text.member is None:
            raise ConfigError(
                "this is none of the files that ptbridge reads; see docs/reference-files.md.", where=str(text.path)
            )
        else:
            ignored.append(text.name)
    if not editions:
        raise ConfigError(
            f"no file that ptbridge reads is in it (found: {', '.join(ignored) or 'no texts'}). Nothing was loaded."
        )
    return editions, ignored


def kind_of(text: Text) -> str | None:
    """What a text is, by what its first lines say. Raises ConfigError for a look-alike that must not be loaded."""
    if re.match(r"ccioph", text.name, re.IGNORECASE):
        raise ConfigError("these are the hospital's pair edits; load the practitioner files (ccipra).", where=text.name)
    return (
        ptp.kind_of(text.head)
        or mue.kind_of(text.head, text.names)
        or rvu.kind_of(text.head, text.names)
        or add_on.kind_of(text.head)
        or icd10.kind_of(text.head)
        or thresholds.kind_of(text.head)
        or therapy.kind_of(text.head)
    )


def _period(kind: str, text: Text, said: Period | None) -> Period:
    if kind == "thresholds":
        return _threshold_years(text)
    if said is not None:
        wanted = KINDS[kind].cadence
        if wanted != _cadence(said):
            raise ConfigError(
                f"period {said.name} does not fit {KINDS[kind].title}, which has one file a {wanted}.", where=text.name
            )
        return said
    found = period_of(kind, text.names)
    if found is None:
        raise ConfigError(
            f"its name does not say which {KINDS[kind].cadence.replace('_', ' ')} it is for. Say so with --period.",
            where=text.name,
        )
    return found


def _cadence(period: Period) -> str:
    return "quarter" if "Q" in period.name else "fiscal_year" if period.name.startswith("FY") else "year"


def _threshold_years(text: Text) -> Period:
    with text.lines() as lines:
        years = sorted({year for _, year in thresholds.read_thresholds(lines, text.name)})
    name = str(years[0]) if len(years) == 1 else f"{years[0]}-{years[-1]}"
    return Period(name, date(years[0], 1, 1), date(years[-1], 12, 31))


def _refuse_incomplete(kind: str, texts: Sequence[Text], parts: int) -> None:
    """A pair table with a part missing would pass pairs that it should stop."""
    if not kind.startswith("ptp"):
        if len(texts) > 1:
            raise ConfigError(f"{texts[1].name} is for the same period. Name one of them.", where=texts[0].name)
        return
    numbers = [int(match[1]) for text in texts if (match := _PART.search(text.name))]
    if len(numbers) != len(set(numbers)):
        raise ConfigError("the same part is named twice. Name each part once.", where=texts[0].name)
    missing = sorted(set(range(1, parts + 1)) - set(numbers))
    if numbers and missing:
        raise ConfigError(
            f"of {parts} parts these are not named: {', '.join(f'f{number}' for number in missing)}. Name all parts in one"
            " command (or --parts, if CMS now publishes another number of them). Nothing was loaded.",
            where=texts[0].name,
        )


def _refuse_older(editions: dict[tuple[str, Period], list[Text]], before: Sequence[Entry]) -> None:
    """CMS replaces a quarter's files by a higher revision (r0, r1); the older one is never put back unnoticed."""
    current = {(entry.kind, entry.period): _revision(entry.texts) for entry in before}
    for edition, texts in editions.items():
        mine, theirs = _revision([text.name for text in texts]), current.get(edition)
        if mine is not None and theirs is not None and mine < theirs:
            raise ConfigError(
                f"revision r{theirs} of {edition[1].name} is loaded and newer. Nothing was loaded.", where=texts[0].name
            )


def _revision(names: Sequence[str]) -> int | None:
    return max((int(match[1]) for name in names if (match := _REVISION.search(name))), default=None)


# ---------------------------------------------------------------- packing and writing


def _store(folder: Path, kind: str, period: Period, texts: Sequence[Text], digests: dict[Path, str]) -> Entry:
    data, counts = _packed(kind, period, texts)
    digest = hashlib.sha256(data).hexdigest()
    ending = "csv" if kind == "thresholds" else "bin"
    name = f"{kind}-{period.name}-{digest[:16]}.{ending}"
    _write(folder / name, data)
    return Entry(
        kind=kind,
        period=period,
        file=name,
        bytes=len(data),
        sha256=digest,
        sources=tuple(sorted({(text.path.name, digests[text.path]) for text in texts})),
        texts=tuple(sorted((text.name for text in texts), key=str.lower)),
        counts=counts,
        loaded_at=datetime.now(UTC).isoformat(timespec="microseconds"),
    )


def _packed(kind: str, period: Period, texts: Sequence[Text]) -> tuple[bytes, dict[str, int]]:
    about = {"kind": kind, "period": period.name}
    if kind.startswith("ptp"):
        rows = ptp.read_pairs(texts)
        return pack(rows.keys, rows.records, ptp.FORMAT, about), rows.counts
    if kind == "thresholds":
        with texts[0].lines() as lines:
            written = "".join(lines).encode("latin-1").decode("utf-8")
        return written.encode(), {"rows": len(thresholds.read_thresholds(written.splitlines(), texts[0].name))}
    table = _table(kind, period, texts[0])
    keys, records = table.sorted()
    return pack(keys, records, table.format, about), table.counts


def _table(kind: str, period: Period, text: Text) -> Table:
    match kind:
        case "mue" | "mue_medicaid":
            return mue.read_mue(text, kind)
        case "rvu" | "rvu_qpp":
            return rvu.read_rvu(text, kind, period.first.year)
        case "add_on":
            return add_on.read_add_on(text)
        case "icd10":
            return icd10.read_icd10(text)
        case _:
            return therapy.read_therapy(text)


def damaged(folder: Path) -> tuple[str, ...]:
    """Names of look-up files whose content is not what was loaded. Reads every file whole."""
    return tuple(
        entry.file
        for entry in read_index(folder)
        if not (folder / entry.file).is_file() or hashlib.sha256((folder / entry.file).read_bytes()).hexdigest() != entry.sha256
    )


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    """One load at a time; the kernel lets go when the process ends, however it ends."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError("another reference load is running. Wait for it to end.", where=str(folder)) from None
        yield
    finally:
        os.close(descriptor)


def _commit(folder: Path, before: Sequence[Entry], fresh: Sequence[Entry]) -> None:
    replaced = {(entry.kind, entry.period) for entry in fresh}
    entries = [entry for entry in before if (entry.kind, entry.period) not in replaced] + list(fresh)
    _write(folder / INDEX, index_bytes(entries))
    _sweep(folder, {entry.file for entry in entries})


def _write(path: Path, data: bytes) -> None:
    """Put a file in place whole and durable: a run that has an older one of that name open keeps the older one."""
    coming = path.with_name(path.name + ".new")
    with coming.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    coming.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(folder: Path, wanted: set[str]) -> None:
    """Remove look-up files that the index does not name. A run that has one open keeps it until it ends."""
    for path in folder.iterdir():
        if path.suffix in (".bin", ".csv", ".new") and path.name not in wanted:
            path.unlink(missing_ok=True)
