"""A person who has looked says what the biller has of a treatment day: first what would come of it, then just that.

For what neither delivery nor a look-up settles: an answer that stays lost, a day that a restored ledger forgot, a correction
of something that is no longer there. Where the biller can be asked it is asked first, and no word goes against what it says.
Nothing is sent: what is written is where the day stands, and every later correction starts from there.
"""

from __future__ import annotations

import asyncio
import getpass
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec

from ptbridge.errors import ConfigError
from ptbridge.jobs.biller_says import BillerSays, ask
from ptbridge.jobs.judging import verdict_on
from ptbridge.jobs.kit import build_kit
from ptbridge.jobs.peers import open_destination
from ptbridge.jobs.worklist import HAS, holding_codes, the_day, write_decision
from ptbridge.ledger import REFUSED, DayRow, Ledger, Made, Verdict, shown_lines
from ptbridge.model import Standing
from ptbridge.pipeline import Kit
from ptbridge.plan import SB01, SB02, SB04, SB05
from ptbridge.refusals import REFUSALS
from ptbridge.specs.config import Config

JUDGED, NOTHING = "judged", "nothing"
# Findings that are about what the biller has; any other must be mended before the day bills anything.
_ABOUT_THE_BILLER = REFUSALS | {SB01, SB02, SB04, SB05}
_LONGEST_NAME = 80  # characters of an id of the biller's or the payer's


def biller_has(
    config: Config,
    name: str,
    has: str | None = None,
    *,
    biller_id: str | None = None,
    payer_number: str | None = None,
    apply: str | None = None,
    reason: str = "",
    actor: str | None = None,
) -> dict[str, Any]:
    """What the ledger would know of a day (a visit or our reference) if the biller has this of it.

    `has`: the number of a submission as `explain` shows it, `judged` (what the day bills now), or `nothing`; None: only what
    can be said (`choices`) and what the biller itself says (`biller`). `contradicts` is why the word cannot be taken. With
    `apply` equal to the outcome's `name` it is written; with another one nothing is, and `applied` is False.

    Raises ConfigError for a day of which nothing can be said, PeerError when the biller cannot be asked.
    """
    _check(has, biller_id, payer_number, apply, reason)
    with Ledger.open(config.state) as ledger:
        day = the_day(ledger, name, ("held", "sent", "open"), "held or sent")
        return asyncio.run(_asked(config, ledger, day, _Word(has, biller_id, payer_number), apply, reason.strip(), actor))


@dataclass(frozen=True, slots=True)
class _Word:
    """What the person says: what the biller has, its id there, and the payer's claim number."""

    has: str | None
    biller_id: str | None
    payer_number: str | None


def _check(has: str | None, biller_id: str | None, payer_number: str | None, apply: str | None, reason: str) -> None:
    """Raises ConfigError for words that do not go together."""
    if has is not None and has not in (JUDGED, NOTHING) and not (has.isascii() and has.isdecimal()):
        raise ConfigError(
            f"--biller-has {has}: say `{JUDGED}`, `{NOTHING}`, or the number of a submission (`ptbridge explain`)."
        )
    for option, text in (("--biller-id", biller_id), ("--payer-number", payer_number)):
        if text is None:
            continue
        if has in (None, NOTHING):
            raise ConfigError(f"{option} names something that the biller has: say what it is with --biller-has.")
        if not (text.isascii() and text.isprintable() and 0 < len(text.strip()) == len(text) <= _LONGEST_NAME):
            raise ConfigError(f"{option}: up to {_LONGEST_NAME} printable characters, without blanks at the ends.")
    if apply is not None and has is None:
        raise ConfigError("--apply: say what the biller has with --biller-has.")
    if apply is not None and not reason.strip():
        raise ConfigError('a decision needs a reason: --reason "why".')


async def _asked(
    config: Config, ledger: Ledger, day: DayRow, word: _Word, apply: str | None, reason: str, actor: str | None
) -> dict[str, Any]:
    spec = config.clinics[day.clinic]
    _can_be_said(ledger, day)
    async with open_destination(config, spec, run_id="settle") as destination:
        today = datetime.now(config.time_zone(spec)).date()
        kit = build_kit(config, spec, destination, today=today)
        saying = _Saying(ledger, day, kit, word, actor)
        told = await ask(ledger, destination, day, saying.given_up, spec.destination.platform)
        answer = saying.situation(told)
        if word.has is not None:
            answer |= saying.outcome(told)
        if apply is not None and apply == answer["name"] and not answer["contradicts"]:
            with ledger.transaction():
                answer |= saying.write(reason)
            answer["applied"] = True
        return answer


def _can_be_said(ledger: Ledger, day: DayRow) -> None:
    """Raises ConfigError while something else must come first."""
    if ledger.restored.pending(day.clinic) is not None:
        raise ConfigError(f"{day.reference}: restored from a backup, and the biller was not asked since: run `ptbridge sync`.")
    if ledger.said.on_its_way(day):
        raise ConfigError(f"{day.reference}: something of it is on its way. Run `ptbridge retry`; it is settled, or held then.")
    if ledger.purge.is_purged(day.id):
        raise ConfigError(f"{day.reference}: what was sent of it was purged; nothing can be corrected from here any more.")


class _Saying:
    """One word about one day."""

    def __init__(self, ledger: Ledger, day: DayRow, kit: Kit, word: _Word, actor: str | None) -> None:
        self._ledger, self._day, self._kit, self._word = ledger, day, kit, word
        self._who = actor or getpass.getuser()

    @cached_property
    def _made(self) -> list[Made]:
        """What the biller may have, oldest first: a void only while nobody knows whether it was taken."""
        return [one for one in self._ledger.said.made(self._day) if one.makes_live or one.state == "held"]

    @cached_property
    def given_up(self) -> Made | None:
        """The newest that delivery gave up."""
        held = [one for one in self._made if one.state == "held"]
        return held[-1] if held else None

    # ------------------------------------------------------------ what can be said

    def situation(self, told: BillerSays) -> dict[str, Any]:
        """Where the day stands, what the biller says, and what can be said."""
        day, page = self._day, _decoded(self._ledger.days.judgement(self._day))
        live = _decoded(self._ledger.days.live_judgement(day))
        return {
            "id": day.reference,
            "clinic": day.clinic,
            "service_date": day.service_date,
            "discipline": page.get("discipline"),
            "visits": [visit["visit_id"] for visit in page.get("visits", ())],
            "state": day.state,
            "reason": day.reason,
            "biller": str(told),
            "before": _counted(live, day.live_units, day.live_cents) if day.live_sha256 is not None else None,
            "choices": [*self._submissions(), *self._as_judged(page), {"has": NOTHING, "what": "nothing of this day"}],
            "says": self._word.has,
            "contradicts": "",
            "name": None,
            "applied": False,
        }

    def _submissions(self) -> list[dict[str, Any]]:
        return [
            {
                "has": str(one.revision),
                "what": f"{_KIND[one.frequency.value]}, {_STATE[one.state]}",
                **({} if not one.makes_live else _lines(one.lines, one.units, one.amount_cents)),
            }
            for one in self._made
        ]

    def _as_judged(self, page: Mapping[str, Any]) -> list[dict[str, Any]]:
        if not page.get("lines") or not self._free_of_findings():
            return []
        counted = _counted(page, page["units"], page["amount_cents"])
        return [{"has": JUDGED, "what": "what the day bills as it is judged now", **counted}]

    def _free_of_findings(self) -> bool:
        return holding_codes(self._ledger, self._day) <= _ABOUT_THE_BILLER

    # ------------------------------------------------------------ what would come of it

    def outcome(self, told: BillerSays) -> dict[str, Any]:
        """What the ledger would know then and what would follow, under a name: all of it done, and taken back."""
        with self._ledger.rehearsal():
            written = self.write("rehearsed")
            verdict = verdict_on(self._ledger, self._now(), self._kit)
        follows = _follows(verdict)
        found = {**written, "follows": follows, "contradicts": self._contradicted(told, written["revision"], written["has"])}
        return {**found, "name": None if found["contradicts"] else self._name({**found, "biller": str(told)})}

    def _name(self, found: Mapping[str, Any]) -> str:
        """Of just this word, said of the day as it stands: said once, it is another one."""
        word, day = self._word, self._day
        said = [day.reference, day.revision, day.state, day.reason, word.has, word.biller_id, word.payer_number, found]
        return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:10]

    def _contradicted(self, told: BillerSays, revision: int | None, had: Mapping[str, Any] | None) -> str:
        """Why the word goes against what the payer or the biller says; empty where it does not."""
        if had is None and self._day.standing in (Standing.PAID, Standing.DENIED):
            return f"the payer has decided about it ({self._day.standing}): it has a claim of this day"
        return told.against(revision, None if had is None else (had["units"], had["amount_cents"]))

    # ------------------------------------------------------------ writing it

    def write(self, reason: str) -> dict[str, Any]:
        """Write state and decision. Returns what the biller `has` then (lines, units, cents; None: nothing), and the `revision`
        that is, None for none of those that were made before.

        Raises ConfigError for what cannot be said of this day. Call inside a transaction.
        """
        ledger, day, word = self._ledger, self._day, self._word
        made: Made | None = None
        if word.has == NOTHING:
            self._write_nothing()
        elif word.has == JUDGED:
            made = self._write_judged()
        else:
            made = self._write_made(self._named())
        ledger.restored.settle_by_word(day.clinic, ledger.said.references(day))
        now = self._now()
        write_decision(ledger, now, "settle", {f"{HAS}{made.revision if made else word.has}"}, reason, self._who)
        return {"has": self._had(now), "revision": made.revision if made else None}

    def _named(self) -> Made:
        for one in self._made:
            if str(one.revision) == self._word.has:
                return one
        known = ", ".join(str(one.revision) for one in self._made) or "none"
        raise ConfigError(f"{self._day.reference}: the biller cannot have submission {self._word.has}. It may have: {known}.")

    def _write_nothing(self) -> None:
        ledger, day = self._ledger, self._day
        may_be = any(one.state != "replaced" for one in self._made)
        if not may_be and not ledger.restored.remembers(day.clinic, day.reference):
            raise ConfigError(f"{day.reference}: the biller has nothing of it, as far as the ledger knows too.")
        ledger.said.has_nothing(day, self._who, closes_reference=not self._kit.destination.capabilities.replace)

    def _write_made(self, made: Made) -> Made:
        day, word = self._day, self._word
        unsettled = self.given_up or self._ledger.restored.remembers(day.clinic, day.reference)
        if made == self._live_made() and not (unsettled or word.biller_id or word.payer_number):
            raise ConfigError(f"{day.reference}: that is what the ledger has as live; there is nothing to settle.")
        self._ledger.said.has(day, made, self._who, word.biller_id, word.payer_number)
        if self._now().standing == Standing.REJECTED:
            raise ConfigError(
                f"{day.reference}: submission {made.revision} was rejected before the payer had it. What the biller has since "
                f"is another claim: say `--biller-has {JUDGED}` once the day bills just that."
            )
        return made

    def _write_judged(self) -> Made | None:
        """What the day bills now is what delivery gave up, or it becomes live as something that the biller made by hand."""
        ledger, day, word = self._ledger, self._day, self._word
        verdict = verdict_on(ledger, day, self._kit, seen_there=True)
        if not verdict.by_hand:
            why = verdict.reason or verdict.state
            raise ConfigError(
                f"{day.reference}: as it is judged now it bills nothing ({why}). Mend that, or say what was sent."
            )
        for one in (self.given_up, self._live_made()):
            if one is not None and one.makes_live and one.content_sha256 == verdict.content_sha256:
                return self._write_made(one)
        ledger.said.has_none_given_up(day, self._who)
        ledger.days.record(self._now(), verdict)
        ledger.said.named(day, word.biller_id, word.payer_number)
        return None

    def _live_made(self) -> Made | None:
        """The submission that is live, unless the payer turned it away."""
        day = self._day
        accepted = [one for one in self._made if one.state == "accepted"]
        is_it = accepted and day.live_sha256 == accepted[-1].content_sha256 and day.standing not in REFUSED
        return accepted[-1] if is_it else None

    def _now(self) -> DayRow:
        day = self._ledger.days.get(self._day.id)
        assert day is not None, "a day of this ledger"
        return day

    def _had(self, now: DayRow) -> dict[str, Any] | None:
        if now.live_sha256 is None:
            return None
        return _counted(_decoded(self._ledger.days.live_judgement(now)), now.live_units, now.live_cents)


_KIND = {"1": "the original", "7": "the replacement", "8": "the void"}
_STATE = {"accepted": "accepted", "held": "given up by delivery", "replaced": "not there, as was said before"}


def _follows(verdict: Verdict) -> dict[str, Any]:
    """What the next sync makes of the day then."""
    page, sent = _decoded(verdict.body), verdict.submission
    return {
        "state": verdict.state,
        "action": page["action"],
        "sends": sent is not None,
        "frequency": sent.frequency.value if sent else None,
        "units": sent.units if sent else 0,
        "amount_cents": sent.amount_cents if sent else 0,
        "reasons": [finding["code"] for finding in page["findings"] if finding["severity"] == "error"],
    }


def _counted(page: Mapping[str, Any], units: int, amount_cents: int) -> dict[str, Any]:
    return _lines(shown_lines(page), units, amount_cents)


def _lines(lines: Sequence[object], units: int, amount_cents: int) -> dict[str, Any]:
    return {"lines": [str(line) for line in lines], "units": units, "amount_cents": amount_cents}


def _decoded(body: bytes | None) -> Mapping[str, Any]:
    page: Mapping[str, Any] = msgspec.json.decode(body) if body else {}
    return page
