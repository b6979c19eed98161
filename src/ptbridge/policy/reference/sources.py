"""The texts inside what a person downloaded: a zip as CMS publishes it, or a text file taken out of one.

Member names vary in case and folder from quarter to quarter, so a text is known by what it says, not by its name. Workbooks,
PDFs and the other tables of a zip are left alone and named in the answer.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from ptbridge.errors import ConfigError

TEXTS = (".txt", ".csv", ".tsv")
MOST_BYTES = 2 << 30  # of one text, unpacked; the largest official one is about 60 MB
_BYTE_ORDER_MARK = "\xef\xbb\xbf"  # a UTF-8 mark read as latin-1
_HEAD = 60


@dataclass(frozen=True, slots=True)
class Text:
    """One text: `name` is its own file name, `names` that and the zip's."""

    name: str
    names: tuple[str, ...]
    path: Path
    member: str | None = None
    head: tuple[str, ...] = field(default=(), repr=False)

    @contextmanager
    def lines(self) -> Iterator[Iterator[str]]:
        """Its lines, decoded as latin-1 (codes, dates and numbers are ASCII), any kind of line end. Raises ConfigError."""
        try:
            if self.member is None:
                with self.path.open(encoding="latin-1") as plain:
                    yield _without_mark(plain)
            else:
                with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as packed:
                    yield _without_mark(io.TextIOWrapper(packed, encoding="latin-1"))
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as problem:
            raise _unreadable(self.path, self.member, problem) from None


@dataclass(frozen=True, slots=True)
class Opened:
    """The texts of the files that a person named, and the members that were left alone."""

    texts: tuple[Text, ...]
    ignored: tuple[str, ...]


def open_sources(paths: Sequence[Path]) -> Opened:
    """Every text of every file. Raises ConfigError for a file that is missing, damaged or of no use."""
    texts: list[Text] = []
    ignored: list[str] = []
    for path in paths:
        if not path.is_file():
            raise ConfigError("there is no such file. Download it from cms.gov and name it here.", where=str(path))
        found, left = _of_zip(path) if zipfile.is_zipfile(path) and path.suffix.lower() != ".xlsx" else _of_file(path)
        texts += found
        ignored += left
    return Opened(tuple(texts), tuple(ignored))


def _of_file(path: Path) -> tuple[list[Text], list[str]]:
    if path.suffix.lower() not in TEXTS:
        raise ConfigError(
            f"a {path.suffix or 'file without an ending'} is not read. Name the zip or its text file.", where=str(path)
        )
    return [_with_head(Text(path.name, (path.name,), path))], []


def _of_zip(path: Path) -> tuple[list[Text], list[str]]:
    texts: list[Text] = []
    ignored: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
    except (OSError, zipfile.BadZipFile) as problem:
        raise _unreadable(path, None, problem) from None
    for member in members:
        name = member.filename.rpartition("/")[2]
        if not name.lower().endswith(TEXTS):
            ignored.append(name)
            continue
        if member.file_size > MOST_BYTES:
            raise ConfigError(
                f"{name} would unpack to {member.file_size} bytes; no official file is that large", where=str(path)
            )
        texts.append(_with_head(Text(name, (name, path.name), path, member.filename)))
    return texts, ignored


def _with_head(text: Text) -> Text:
    with text.lines() as lines:
        head = tuple(islice(lines, _HEAD))
    return Text(text.name, text.names, text.path, text.member, head)


def _without_mark(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        yield line.removeprefix(_BYTE_ORDER_MARK)
        break
    yield from lines


def _unreadable(path: Path, member: str | None, problem: Exception) -> ConfigError:
    what = f"{member}: " if member else ""
    return ConfigError(f"{what}cannot be read ({type(problem).__name__}). Download it again from cms.gov.", where=str(path))
