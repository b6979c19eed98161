"""From single answers to what a day stands at: the last word at the furthest stage, and a refused line before a paid claim."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import apsw

from ptbridge.model import Frequency, NativeCode, Stage, Standing

REFUSED = (Standing.REJECTED, Standing.DENIED)
SHORTEST_REFERENCE = 10  # characters of `pt-` and the digest: a platform that allows fewer cannot name a day
_WORST_FIRST = (Standing.REJECTED, Standing.DENIED, Standing.PENDING, Standing.ACCEPTED, Standing.PAID)


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
    payer_claim_number: str | None


def blob(value: apsw.SQLiteValue) -> bytes:
    """A column that holds bytes."""
    assert isinstance(value, bytes)
    return value


def let_through(page: dict[str, Any]) -> tuple[str, ...]:
    """Codes of the findings of a judgement that did not keep it here; what an earlier refusal said is none of them."""
    return tuple(sorted({str(finding["code"]) for finding in page["findings"] if not str(finding["code"]).startswith("RJ")}))


def range_of(reference: str | None) -> tuple[str, str]:
    """The references that a given one can stand for, as a range: itself, or those that start with it where it was cut."""
    if not reference:
        return "", ""
    if len(reference) >= 27:
        return reference, reference + "\x00"
    whole = reference.lower()
    if not whole.startswith("pt-"):
        whole = f"pt-{whole}"
    return (whole, whole + "g") if len(whole) >= SHORTEST_REFERENCE else ("", "")  # the rest is hexadecimal: below "g"


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
