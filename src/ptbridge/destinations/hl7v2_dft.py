"""hl7v2_dft: each treatment day as a DFT^P03 message, over MLLP or into files, as an interface profile says.

What the biller and the clinic agreed (where the code stands, how a void looks, what AE means) is the profile, one YAML file:
`docs/interface-profiles.md`. `base_url: mllps://host:port` (or `mllp://` on this machine) sends message by message and
waits for each acknowledgement; `folder` writes one file per run.

An acknowledgement counts only when its MSA-2 is the MSH-10 that was sent, and then it says "received by this hop", no more.
MLLP has no look-up: a lost answer stays in doubt and is held for a person, unless the profile says for how long the
receiver ignores the same FT1-2 and MSH-10 (`resend_safe_days`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

from ptbridge.destinations import DestinationParts
from ptbridge.destinations._dft_credit import replacement_bytes, void_bytes
from ptbridge.destinations._dft_er7 import control_id_of, stamped
from ptbridge.destinations._dft_files import DftFiles
from ptbridge.destinations._dft_heard import Heard
from ptbridge.destinations._dft_link import Link, link_to
from ptbridge.destinations._dft_message import DayWriter, dft_bytes, withheld_as, withheld_reason
from ptbridge.destinations._dft_sample import compare_samples, samples
from ptbridge.errors import ConfigError
from ptbridge.model import Acknowledgement, Disposition, Frequency, PricedDay, Submission
from ptbridge.ports import AnswerPage, Capabilities, DestinationInfo, Inbox
from ptbridge.specs.clinic import BillingProviderSpec, DestinationSpec
from ptbridge.specs.interface_profile import Interface, load_interface

INFO = DestinationInfo(
    name="hl7v2_dft",
    summary="Sends each treatment day as an HL7 v2 DFT message, over MLLP or in one file per run.",
    needs=(),  # one of base_url and folder
    options={
        "profile": "the interface profile: a file of this config folder (interfaces/acme.yaml), or a shipped one's name",
        "insecure_plaintext": "yes: mllp:// without TLS to another machine, for a network that is encrypted by itself",
        "tls_ca_file": "PEM of the authority that signed the biller's certificate (default: the system's authorities)",
        "tls_certificate_file": "PEM of our own certificate, for mutual TLS",
        "tls_key_file": "PEM of our own key, mode 0600",
        "answers_address": "where `ptbridge listen` waits for answers of mode deferred, as 127.0.0.1:2576",
        "answers_tls_certificate_file": "PEM of that listener's certificate chain; with it only TLS is spoken there",
        "answers_tls_key_file": "PEM of its key, mode 0600",
        "answers_tls_client_ca_file": "PEM of the authority of the biller's certificates: it must show one (mutual TLS)",
        "answers_allow_peers": "addresses or networks that may connect there, separated by commas (default: any)",
        "answers_insecure_plaintext": "yes: without TLS on an address that is not this machine's own",
    },
    required=("profile",),
)
_DAY_SECONDS = 86_400


def build(parts: DestinationParts) -> Hl7Dft:
    """A destination for one run (see `ptbridge.destinations`).

    Raises ConfigError for an option or a profile that cannot be used, a sample that is not what ptbridge writes included.
    """
    INFO.refuse_unknown(parts.options)
    spec = parts.spec
    if bool(spec.base_url) == (parts.folder is not None) and parts.http is None:
        raise ConfigError(
            "destination hl7v2_dft needs `base_url` (mllps://host:port) or `folder`, and not both.", where="destination"
        )
    if parts.http is not None:
        raise ConfigError(
            f"{spec.base_url!r} is not an MLLP address. Write it as mllps://host:port.", where="destination.base_url"
        )
    interface = load_interface(parts.options.get("profile", ""))
    compare_samples(interface)
    _check_way_back(spec, interface)
    if parts.folder is not None:
        return Hl7DftFiles(interface, parts.billing, DftFiles(parts.folder, interface.spec, parts.clinic, parts.run_id))
    link = link_to(spec, interface.spec)
    if interface.spec.acknowledgement.mode == "deferred":
        return Hl7DftDeferred(interface, parts.billing, link)
    return Hl7DftLink(interface, parts.billing, link)


def sample_text(profile: str) -> str:
    """The sample day's messages as the YAML of a profile writes them, to show to a partner. Raises ConfigError."""
    quoted = {
        key: ["  - '" + segment.replace("'", "''") + "'" for segment in segments]
        for key, segments in samples(load_interface(profile).spec).items()
    }
    return "\n".join(line for key, lines in quoted.items() for line in (f"{key}:", *lines)) + "\n"


def _check_way_back(spec: DestinationSpec, interface: Interface) -> None:
    """In mode deferred, and only then, the biller's application answers over a connection of its own."""
    deferred, address = interface.spec.acknowledgement.mode == "deferred", spec.options.get("answers_address")
    if deferred and (spec.folder or not address):
        text = (
            f"{interface.label} agrees on deferred answers: it needs base_url, and answers_address for `ptbridge listen`. "
            "Write both, as answers_address: 127.0.0.1:2576."
        )
        raise ConfigError(text, where="destination.options.answers_address")
    if address and not deferred:
        text = f"{interface.label} agrees on no deferred answers. Remove it, or write acknowledgement.mode: deferred."
        raise ConfigError(text, where="destination.options.answers_address")


class Hl7Dft:
    """What both ways of sending share: the messages. See `ports.Destination`."""

    def __init__(self, interface: Interface, billing: BillingProviderSpec) -> None:
        self._interface = interface
        self._spec = interface.spec
        self._billing = billing

    def encode(self, priced: PricedDay, *, reference: str, frequency: str, original_id: str | None) -> tuple[bytes, str]:
        """The day's DFT^P03 with an empty MSH-10; what must not leave says so in the media type.

        A replacement is the whole day again (`snapshot`); where the profile takes back by credits, only
        `encode_replacement` can make it, and this one is withheld, so that no charge is ever booked twice.
        """
        body, media_type = dft_bytes(self._writer(priced, reference, "P03").write(), self._spec, "P03")
        if frequency == Frequency.REPLACEMENT and self._spec.corrections != "snapshot":
            return body, withheld_as("correction-needs-credit")
        return body, media_type

    def encode_replacement(
        self, priced: PricedDay, live: bytes, *, reference: str, original_id: str | None
    ) -> tuple[bytes, str]:
        """The exact bytes that turn `live`, what the biller has, into this day. Pure."""
        if self._spec.corrections == "snapshot":
            return self.encode(priced, reference=reference, frequency=Frequency.REPLACEMENT, original_id=original_id)
        written = self._writer(priced, reference, self._spec.credit_event).write()
        return replacement_bytes(live, written, self._spec)

    def encode_void(self, live: bytes, *, reference: str, original_id: str | None) -> tuple[bytes, str]:
        """A credit for each charge of `live`, with the original's FT1-2."""
        return void_bytes(live, self._spec)

    def _writer(self, priced: PricedDay, reference: str, event: str) -> DayWriter:
        return DayWriter(self._spec, self._billing, priced, reference, event)


class Hl7DftLink(Hl7Dft):
    """Over MLLP, one message in flight on each connection."""

    def __init__(self, interface: Interface, billing: BillingProviderSpec, link: Link) -> None:
        super().__init__(interface, billing)
        self._link = link

    @property
    def capabilities(self) -> Capabilities:
        """A resend is harmless only for as long as the profile says; nobody can be asked what stands there."""
        return Capabilities(
            idempotency_seconds=self._spec.acknowledgement.resend_safe_days * _DAY_SECONDS,
            replace=self._spec.corrections != "hold",
            void=self._spec.voids != "hold",
        )

    async def submit(self, submission: Submission) -> Acknowledgement:
        """Send once and wait for the acknowledgement of this very message. Raises PeerUnavailable: nothing was sent."""
        held = _withheld(submission)
        if held:
            return held
        control_id = control_id_of(submission.key)
        return await self._link.send(stamped(submission.body, control_id), control_id)

    async def find(self, submission: Submission) -> Acknowledgement | None:
        """Never asked: `capabilities.find` is False, because MLLP has no look-up."""
        raise NotImplementedError("MLLP has no look-up")

    async def list_references(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]] | None:
        """An MLLP receiver cannot tell what it has."""
        return None

    async def check(self) -> list[str]:
        """Connect and say nothing: a message, even an empty one, could be booked. Raises PeerUnavailable."""
        return [*await self._link.check(), *_agreement(self._interface)]

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()


class Hl7DftDeferred(Hl7DftLink):
    """Over MLLP to a partner whose application answers later: CA leaves a message in doubt until that answer has come."""

    _heard: Heard | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Sent again only while the application may still be silent; then a person is asked."""
        agreed = self._spec.acknowledgement
        window = min(super().capabilities.idempotency_seconds, agreed.application_hours * 3600)
        return replace(super().capabilities, idempotency_seconds=window)

    def hear(self, inbox: Inbox) -> None:
        """Where the application's answers are."""
        self._heard = Heard(inbox)

    def heard(self, submission: Submission) -> Acknowledgement | None:
        """What the application said of this very message; None while it has said nothing."""
        return self._heard.last_word(submission) if self._heard else None

    async def answers(self, cursor: Mapping[str, str]) -> AsyncIterator[AnswerPage]:
        """What came since: also about nothing of ours, and again about what was settled."""
        for page in self._heard.pages(cursor) if self._heard else ():
            yield page

    async def check(self) -> list[str]:
        """The connection, and what must run beside it. Raises PeerUnavailable."""
        hours = f"{self._spec.acknowledgement.application_hours:g}"
        return [
            *await super().check(),
            f"its application answers over a connection of its own, within {hours} h: `ptbridge listen` must run for it",
        ]


class Hl7DftFiles(Hl7Dft):
    """Into files, one for each run."""

    def __init__(self, interface: Interface, billing: BillingProviderSpec, files: DftFiles) -> None:
        super().__init__(interface, billing)
        self._files = files

    @property
    def capabilities(self) -> Capabilities:
        """A file cannot be taken back, so no key makes a second one harmless; but our receipts can always be asked."""
        return Capabilities(
            find=True,
            replace=self._spec.corrections != "hold",
            void=self._spec.voids != "hold",
            own_receipts=True,
            batch=True,
        )

    async def submit(self, submission: Submission) -> Acknowledgement:
        """A file of its own for one submission; a run uses `submit_batch`."""
        return (await self.submit_batch([submission]))[0]

    async def submit_batch(self, submissions: Sequence[Submission]) -> list[Acknowledgement]:
        """Write one file with all that may leave. Raises PeerUnavailable when nothing became visible, OutcomeUnknown
        when the disk gave up at the end: `find` then tells."""
        held = [_withheld(one) for one in submissions]
        going = [one for one, why in zip(submissions, held, strict=True) if why is None]
        dropped = self._files.drop(going) if going else None
        return [answer for why in held if (answer := why or dropped)]

    async def find(self, submission: Submission) -> Acknowledgement | None:
        """The file that holds this very submission."""
        return self._files.files.find(submission)

    async def list_references(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]] | None:
        """What we dropped and did not take back. What the biller did with it, a folder cannot tell."""
        return self._files.files.live(*service_dates)

    async def check(self) -> list[str]:
        """Can we write there. Raises PeerUnavailable when not."""
        return [self._files.files.check(), *_agreement(self._interface)]

    async def close(self) -> None:
        """Nothing is open between calls."""


def _withheld(submission: Submission) -> Acknowledgement | None:
    """A message that cannot be said in the partner's terms is held before it leaves, with the reason."""
    reason = withheld_reason(submission.media_type)
    if not reason:
        return None
    text = f"not sent: {reason}. Correct the interface profile or the record, then `ptbridge retry` this day."
    return Acknowledgement(disposition=Disposition.REJECTED, native_code=reason, native_text=text)


def _agreement(interface: Interface) -> list[str]:
    standing = "" if interface.spec.standing == "agreed" else ", a starting point that the biller has not confirmed"
    found = [f"interface profile {interface.label}{standing}; its samples are what ptbridge writes"]
    if interface.spec.message.processing_id != "P":
        found.append(f"messages are marked as test data (MSH-11 {interface.spec.message.processing_id})")
    return found
