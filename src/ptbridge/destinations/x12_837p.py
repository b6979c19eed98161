"""x12_837p: one 837P file (005010X222A1) per run in a folder or on an SFTP server, and the answers that come back as files.

A run's file is `ptbridge-<clinic>-<control number>.837`: one interchange, one transaction set for each treatment day; it
appears whole or not at all (`_drop_folder`). TA1, 999, 277CA and 835 files are read from the folder `answers`.

A claim that a payer has is corrected by frequency 7 or 8 with the payer's own number; one that was turned away before
adjudication goes again as frequency 1. For payers named in `original_only` a person corrects.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ptbridge.destinations import DestinationParts
from ptbridge.destinations._drop_folder import DropFolder, FileDrop, plain
from ptbridge.destinations._x12_claim import DayClaims
from ptbridge.destinations._x12_correction import UNKNOWN, UNSAFE, filing_in, parts_text, replaced, voided, waiting_in
from ptbridge.destinations._x12_facts import FILING
from ptbridge.destinations._x12_file import Parties, file_bytes, next_control_number
from ptbridge.destinations._x12_inbound import AnswerFiles, LocalAnswers, news, speaks_of
from ptbridge.destinations._x12_sent import Sent
from ptbridge.destinations._x12_text import Problem, spelled
from ptbridge.errors import ConfigError, PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition, Finding, Frequency, PricedDay, Submission
from ptbridge.ports import CLAIM_STATES, AnswerPage, Capabilities, DestinationInfo
from ptbridge.specs.clinic import BillingProviderSpec, ClaimsSpec

if TYPE_CHECKING:
    from ptbridge.wire.sftp import SftpServer

INFO = DestinationInfo(
    name="x12_837p",
    summary="Writes one X12 837P file per run into a folder or onto an SFTP server, and reads 999, TA1, 277CA and 835 back.",
    needs=("folder",),
    options={
        "submitter_id": "who we are at the clearinghouse: ISA06, GS02, loop 1000A",
        "receiver_id": "who the clearinghouse is: ISA08, GS03, loop 1000B",
        "receiver_name": "the clearinghouse's name, loop 1000B",
        "usage": "P for claims that count, T for a test",
        "submitter_qualifier": "ISA05 (default ZZ)",
        "receiver_qualifier": "ISA07 (default ZZ)",
        "group_sender": "GS02, where it is not submitter_id",
        "group_receiver": "GS03, where it is not receiver_id",
        "ask_for_ta1": "yes: ISA14 asks for a TA1 (default no)",
        "answers": "the folder where TA1, 999, 277CA and 835 arrive, from `folder` on (../answers), or an SFTP server's folder",
        "original_only": "filing indicators whose payers take no frequency 7 or 8, such as `MB VA`, or none (default MB)",
        "time_zone": "the zone of the dates in the envelope, such as America/New_York (default: this machine's)",
    },
    required=("submitter_id", "receiver_id", "receiver_name", "usage"),
    offered=("answers",),
    states=(*CLAIM_STATES, "billing_provider.contact", "billing_provider.phone", "claims.signature_on_file"),
)

ENDING = ".837"
_MEDIA_TYPE = "application/edi-x12"
_WITHHELD = f"{_MEDIA_TYPE}; withheld="
_WHY = {
    "original-only": "this payer takes no corrected claim (option original_only): correct it with the payer",
    UNKNOWN: "the payer's claim number is not known for each claim of the day: correct it with the payer",
    UNSAFE: "no corrected claims would be safe here, because a line could be at the payer twice when one of them is turned "
    "away, or a diagnosis has no room: correct it with the payer",
}


def build(parts: DestinationParts) -> X12Claims:
    """A destination for one run (see `ptbridge.destinations`). Raises ConfigError for a missing folder or a bad option."""
    options = parts.options
    INFO.refuse_unknown(options)
    folder = parts.needed_folder("where the clearinghouse reads files")
    return X12Claims(
        DropFolder(folder, plain(parts.clinic), ending=ENDING),
        clinic=parts.clinic,
        parties=_parties(options),
        billing=parts.billing,
        claims=parts.claims,
        answers=options.get("answers", ""),
        original_only=_original_only(options.get("original_only", "MB")),
        zone=_zone(options.get("time_zone")),
    )


def _original_only(text: str) -> frozenset[str]:
    found = frozenset() if text.strip() == "none" else frozenset(text.split())
    if unknown := sorted(found - FILING):
        raise ConfigError(
            f"{unknown[0]!r} is no claim filing indicator. Write some of {' '.join(sorted(FILING))}, or none.",
            where="destination.options.original_only",
        )
    return found


def _parties(options: Mapping[str, str]) -> Parties:
    for name in INFO.required:
        if not options.get(name):
            raise ConfigError(f"x12_837p needs it: {INFO.options[name]}.", where=f"destination.options.{name}")
    if options["usage"] not in ("P", "T"):
        raise ConfigError(f"is {options['usage']!r}; write P or T.", where="destination.options.usage")
    submitter, receiver = _identifier(options, "submitter_id"), _identifier(options, "receiver_id")
    return Parties(
        submitter_id=submitter,
        submitter_qualifier=_qualifier(options, "submitter_qualifier"),
        receiver_id=receiver,
        receiver_qualifier=_qualifier(options, "receiver_qualifier"),
        receiver_name=_text(options, "receiver_name", 60),
        group_sender=_identifier(options, "group_sender") or submitter,
        group_receiver=_identifier(options, "group_receiver") or receiver,
        usage=options["usage"],
        wants_ta1=options.get("ask_for_ta1") == "yes",
    )


def _identifier(options: Mapping[str, str], name: str) -> str:
    """GS02 and GS03 want two characters."""
    return _text(options, name, 15, 2) if options.get(name) else ""


def _text(options: Mapping[str, str], name: str, most: int, least: int = 0) -> str:
    try:
        return spelled(options.get(name, ""), most, least)
    except Problem as problem:
        raise ConfigError(f"{problem}.", where=f"destination.options.{name}") from None


def _qualifier(options: Mapping[str, str], name: str) -> str:
    text = options.get(name, "ZZ")
    if not re.fullmatch(r"[0-9A-Z]{2}", text):
        raise ConfigError(f"is {text!r}; it has two characters, such as ZZ or 30.", where=f"destination.options.{name}")
    return text


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError(
            f"{name!r} is no time zone. Write it as America/New_York.", where="destination.options.time_zone"
        ) from None


class X12Claims:
    """Files to a clearinghouse. See `ports.BatchDestination`, `DemandingDestination`, `AnsweringDestination`."""

    def __init__(
        self,
        folder: DropFolder,
        *,
        clinic: str,
        parties: Parties,
        billing: BillingProviderSpec,
        claims: ClaimsSpec,
        answers: str,
        original_only: frozenset[str],
        zone: ZoneInfo | None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.folder, self._control_numbers, self._answers = folder, folder.shared, answers
        self._all_ours: Path | None = None  # over SFTP: the folder of all clinics' folders
        self._answer_files: AnswerFiles | None = LocalAnswers(folder.path / answers) if answers else None
        self._clinic, self._parties, self._billing, self._claims = clinic, parties, billing, claims
        self._original_only, self._zone, self._clock = original_only, zone, clock
        self._last: tuple[PricedDay, DayClaims] | None = None

    def over_sftp(self, server: SftpServer, ours: Path) -> None:
        """The files go to this server, and answers come from it. `ours` is a folder of all clinics that send from here."""
        from ptbridge.destinations._x12_remote import RemoteAnswers  # loads the SSH library

        self._control_numbers = ours
        self._all_ours = ours
        self._answer_files = RemoteAnswers(server, self._answers) if self._answers else None

    @property
    def capabilities(self) -> Capabilities:
        """A file cannot be taken back, so nothing is open; our receipts can always be asked what went into which."""
        return Capabilities(
            find=True,
            replace=True,
            void=True,
            open_until=None,
            payer_number=True,
            rejected_is_gone=True,
            splits=True,
            own_receipts=True,
            batch=True,
        )

    def lacks(self, priced: PricedDay) -> list[Finding]:
        """Findings SB03: what 837P demands and the day or the clinic file does not have, or cannot be written."""
        return self._claims_of(priced).lacks()

    def _claims_of(self, priced: PricedDay) -> DayClaims:
        """The day's claims; the last day's are kept, because a day is asked what it lacks and then written."""
        if self._last is None or self._last[0] is not priced:
            self._last = (priced, DayClaims(priced, self._billing, self._claims))
        return self._last[1]

    def encode(self, priced: PricedDay, *, reference: str, frequency: str, original_id: str | None) -> tuple[bytes, str]:
        """The day's loops from 2000A on, without envelope. What must not leave says so in the media type.

        `original_id` is the payer's claim number, or one for each claim of the day in order, with spaces between.
        """
        day = self._claims_of(priced)
        numbers = _numbers(original_id) if frequency != Frequency.ORIGINAL else []
        fits = len(numbers) == day.count
        body = day.written(reference=reference, frequency=frequency, payer_numbers=numbers if fits else ())
        return body, self._media_type(body, frequency, "" if fits else UNKNOWN)

    def encode_replacement(
        self, priced: PricedDay, live: bytes, *, reference: str, original_id: str | None
    ) -> tuple[bytes, str]:
        """What makes of the claims in `live` those of this day, also where they are more now, or fewer.

        `original_id` says of each claim in `live` what the payer has of it (see `_x12_correction`).
        """
        body = replaced(self._claims_of(priced), live, original_id, reference=reference)
        if isinstance(body, str):
            whole, _ = self.encode(priced, reference=reference, frequency=Frequency.REPLACEMENT, original_id=None)
            return whole, self._media_type(whole, Frequency.REPLACEMENT, body)
        return body, self._media_type(body, Frequency.REPLACEMENT)

    def waiting_lines(self, body: bytes) -> tuple[int, ...]:
        """See `ports.SteppingDestination`."""
        return waiting_in(body)

    def encode_void(self, live: bytes, *, reference: str, original_id: str | None) -> tuple[bytes, str]:
        """Those claims of what was accepted that the payer has, with frequency 8 and its numbers."""
        body = voided(live, original_id)
        return body or live, self._media_type(live, Frequency.VOID, UNKNOWN if body is None else "")

    def _media_type(self, body: bytes, frequency: str, withheld: str = "") -> str:
        if frequency == Frequency.ORIGINAL:
            return _MEDIA_TYPE
        if filing_in(body) in self._original_only:
            return f"{_WITHHELD}original-only"
        return f"{_WITHHELD}{withheld}" if withheld else _MEDIA_TYPE

    async def submit(self, submission: Submission) -> Acknowledgement:
        """A file of its own for one submission; a run uses `submit_batch`."""
        return (await self.submit_batch([submission]))[0]

    async def submit_batch(self, submissions: Sequence[Submission]) -> list[Acknowledgement]:
        """Write one file with all that may leave; accepted only when it is on the disk under its name.

        Raises PeerUnavailable when nothing became visible, OutcomeUnknown when the disk gave up at the end: `find` then tells.
        """
        held = [_withheld(one) for one in submissions]
        going = [one for one, why in zip(submissions, held, strict=True) if why is None]
        dropped = self._drop(going) if going else None
        return [answer for why in held if (answer := why or dropped)]

    def _drop(self, going: Sequence[Submission]) -> Acknowledgement:
        now = self._clock()
        try:
            number = next_control_number(self._control_numbers, now)
        except OSError as error:
            raise PeerUnavailable(
                f"{self.folder.path}: cannot write there ({error.strerror}). Check that it exists, its owner and the space "
                "on its disk. Nothing was dropped."
            ) from None
        content = file_bytes(
            [one.body for one in going], self._parties, self._billing, number=number, now=now.astimezone(self._zone)
        )
        return FileDrop(self.folder, self._clinic, f"{number:09d}").drop(going, content, parts=lambda one: parts_text(one.body))

    async def find(self, submission: Submission) -> Acknowledgement | None:
        """The file that holds this very submission, by our receipts; a file that a crash left unnamed gets its name."""
        return self._files().find(submission)

    async def list_references(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]] | None:
        """What we dropped and did not take back, by our receipts. What became of it, `answers` tells."""
        return self._files().live(*service_dates)

    def _files(self) -> FileDrop:
        return FileDrop(self.folder, self._clinic, "")

    async def answers(self, cursor: Mapping[str, str]) -> AsyncIterator[AnswerPage]:
        """What the files in the folder `answers` say that `cursor` does not cover. Raises PeerError when it cannot be read."""
        if self._answer_files is not None:
            async for page in news(self._answer_files, Sent(self._folders(), self._clinic), cursor):
                yield page

    async def arrived(self, submission: Submission) -> bool:
        """Whether an answer speaks of this very submission: then the file was received. Raises PeerError."""
        if self._answer_files is None:
            return False
        return await speaks_of(submission.key, self._answer_files, Sent(self._folders(), self._clinic))

    def _folders(self) -> list[Path]:
        """Where receipts are: ours, and those of other clinics that send to the same place."""
        if self._all_ours is None:
            return [self.folder.path]
        return [path for path in sorted(self._all_ours.iterdir()) if path.is_dir()] if self._all_ours.is_dir() else []

    async def check(self) -> list[str]:
        """Can we write there, can we read the answers. Raises PeerError when not."""
        told = [self._files().check()]
        if self._answer_files is None:
            told.append("no folder for answers is named: what becomes of the claims is not known here")
        else:
            told.append(f"answer files there: {len(await self._answer_files.files())}")
        if self._parties.usage == "T":
            told.append("files are marked as test data (ISA15 T)")
        return told

    async def close(self) -> None:
        """Nothing is open between calls."""


def _numbers(original_id: str | None) -> list[str]:
    """The payer's claim numbers; none when one of them cannot be written."""
    try:
        return [spelled(number, 50) for number in (original_id or "").split()]
    except Problem:
        return []


def _withheld(submission: Submission) -> Acknowledgement | None:
    """What would not be taken is held before it leaves, with the reason."""
    reason = submission.media_type.removeprefix(_WITHHELD) if submission.media_type.startswith(_WITHHELD) else ""
    if not reason:
        return None
    return Acknowledgement(disposition=Disposition.REJECTED, native_code=reason, native_text=f"not sent: {_WHY[reason]}.")
