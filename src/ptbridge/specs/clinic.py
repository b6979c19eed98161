"""The clinic file: place, time, which EMR, which biller, which payer policy and fees. No meaning, no secrets."""

from __future__ import annotations

from typing import Literal

import msgspec

Environment = Literal["sandbox", "production"]


class AuthSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """How to prove who we are (method `none`, the default: not at all).

    Secrets are references: `env:NAME`, `file:path` (mode 0600), `keyring:service/name`.
    """

    method: str = "none"  # bearer, api_key, form_key | client_secret_basic, _post, _json | private_key_jwt | ssh_key, _password
    token_url: str | None = None  # pinned; when absent, read from .well-known/smart-configuration of the same origin
    client_id: str | None = None
    secret: str | None = None  # reference: client secret, or the static bearer token
    private_key: str | None = None  # reference: PEM or JWK
    algorithm: str = "RS384"  # RS384 | ES384
    kid: str | None = None
    scopes: tuple[str, ...] = ()
    audience: str | None = None  # `aud` of the assertion; the token URL unless the EMR wants another
    user: str | None = None  # SFTP: the name we log in with
    host_keys: tuple[str, ...] = ()  # SFTP: the server's own keys, SHA256:… or ssh-ed25519 AAAA…; any other server is refused


class SourceSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Where visits come from."""

    connector: str
    base_url: str = ""
    mapping: str = ""  # a file beside the clinic file, or a shipped mapping such as emrs/fhir_r4
    auth: AuthSpec = AuthSpec()
    options: dict[str, str | tuple[str, ...] | dict[str, str | tuple[str, ...]]] = {}
    requests_per_second: float = 0  # 0: unlimited
    environment: Environment | None = None  # sandbox: made-up patients, never sent to production; absent: told by its address


class WebhookSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """How the biller signs the webhooks that say it has news (`ptbridge answers --serve`). They only wake a poll."""

    scheme: str  # standard (Standard Webhooks) | timestamped (t=…,v1=…) | body (HMAC of the body alone)
    secret: str  # reference: the shared secret
    header: str = "x-signature"  # the signature's header; with `standard` only where it is not webhook-signature


class DestinationSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Where charges go."""

    platform: str
    base_url: str = ""
    folder: str = ""
    auth: AuthSpec = AuthSpec()
    in_flight: int = 16
    requests_per_second: float = 0  # 0: the platform's published limit, where it has one
    options: dict[str, str] = {}
    webhook: WebhookSpec | None = None  # how the biller signs the webhooks that wake `ptbridge answers --serve`
    environment: Environment | None = None  # production: what is sent is billed; absent: told by its address (docs/security.md)


class AddressSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A postal address (X12 N3, N4). A claim wants a street, not a box, and the nine-digit ZIP code."""

    lines: tuple[str, ...]
    city: str
    state: str
    postal_code: str


class BillingProviderSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """X12 loop 2010AA. Address, contact and phone are needed by platforms that make claims."""

    npi: str
    name: str
    tax_id: str | None = None
    taxonomy: str | None = None
    address: AddressSpec | None = None
    contact: str | None = None
    phone: str | None = None


class ClaimPayerSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """How a claim names a payer (X12 loop 2010BB and SBR09)."""

    id: str  # the payer's id at the clearinghouse or platform
    name: str
    filing: str  # claim filing indicator, X12 element 1032: MB, CI, BL, HM, MC, WC, AM …


class ClaimsSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """What a claim states on the clinic's word; nothing here has a default, because each is a statement to a payer.

    `payers` is keyed by the payer's id, or its name, exactly as the EMR gives it.
    """

    accepts_assignment: str | None = None  # CLM07: A, B or C
    benefits_assigned: str | None = None  # CLM08: Y, N or W
    release_of_information: str | None = None  # CLM09: I or Y
    signature_on_file: str | None = None  # CLM06: Y or N
    payers: dict[str, ClaimPayerSpec] = {}


NO_CLAIMS = ClaimsSpec()


# What `changes.confirm` may name, and what it means.
CONFIRM_WORDS = {
    "replacement": "what the biller has is replaced by what the day bills now",
    "void": "what the biller has is taken back, and nothing follows",
    "void-and-new": "what the biller has is taken back, and a new original follows",
    "original-again": "a rejected charge goes again as an original",
    "payer-changed": "the primary payer is another one than when it was sent",
    "after-decision": "the payer has paid or denied it",
    "decrease-after-paid": "the payer has paid it, and the day bills less now",
}


class ChangesSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """What becomes of changes after a day was judged: how long a charge waits, and which corrections need a person."""

    hold_window_minutes: int = 0  # a judged day waits so long before it may be sent; an edit meanwhile starts the window anew
    confirm: tuple[str, ...] = ()  # corrections that wait for `ptbridge changes confirm`; the words are in docs/changes.md


NO_CHANGES_POLICY = ChangesSpec()


class AlarmsSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """When `ptbridge status` raises an alarm (exit code 10). Hours by the clock, weekends included; 0: never."""

    silence_hours: float = 0  # nothing was received from the source for longer
    waiting_hours: float = 0  # a submission waits for the biller's answer for longer
    held_hours: float = 0  # a treatment day is held for longer


NO_ALARMS = AlarmsSpec()


class PayerRouteSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Which payer policy a coverage falls under: by the payer id or payer name exactly as the source gives it."""

    policy: str
    ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    fees: str | None = None  # a fee schedule of its own; otherwise the clinic's
    allowed: str | None = None  # what Medicare allows for one unit, a CSV as for fees: without it KX cannot be told


class ClinicSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """One clinic. `time_zone` (IANA) decides the service date."""

    clinic: str
    name: str
    time_zone: str
    billing_provider: BillingProviderSpec
    source: SourceSpec
    destination: DestinationSpec
    payers: tuple[PayerRouteSpec, ...] = ()
    claims: ClaimsSpec = NO_CLAIMS
    changes: ChangesSpec = NO_CHANGES_POLICY
    alarms: AlarmsSpec = NO_ALARMS
    fees: str = ""
    assistant_method: str | None = None  # percentage | simple: the 10 % computation this clinic recorded; overrides the policy
    exclude_visits: tuple[str, ...] = ()  # of cash, maintenance, no-charge: those left out; the others hold for a person
    first_service_date: str | None = None  # nothing before this day is pulled or billed
