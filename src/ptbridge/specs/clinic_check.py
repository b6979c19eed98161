"""What a clinic file's types alone cannot check: names, addresses, credentials, payer routes. All problems at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from urllib.parse import urlsplit

from ptbridge.specs.clinic import CONFIRM_WORDS, AuthSpec, ChangesSpec, ClinicSpec, DestinationSpec, WebhookSpec
from ptbridge.specs.environment import is_this_machine
from ptbridge.specs.payer import KEPT_FROM_PAYERS
from ptbridge.specs.secrets import is_reference, literal_advice
from ptbridge.specs.type_check import Key, Problem

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

WEBHOOK_SCHEMES = ("standard", "timestamped", "body")  # wire/webhooks.py

# What each way of proving who we are needs beside it (SMART Backend Services; RFC 6749 section 2.3.1; RFC 6750).
AUTH_METHODS: dict[str, tuple[str, ...]] = {
    "none": (),
    "bearer": ("secret",),
    "api_key": ("secret",),
    "client_secret_basic": ("client_id", "secret"),
    "client_secret_post": ("client_id", "secret"),
    "client_secret_json": ("client_id", "secret"),
    "form_key": ("secret",),
    "private_key_jwt": ("client_id", "private_key"),
    "ssh_key": ("user", "private_key", "host_keys"),
    "ssh_password": ("user", "secret", "host_keys"),
}
SSH_METHODS = ("ssh_key", "ssh_password")


def clinic_problems(spec: ClinicSpec, *, file_name: str) -> Iterator[Problem]:
    """Every problem of a clinic file that already has the right types. `file_name` is without its ending."""
    yield from _name_problems(spec, file_name)
    yield from _address_problems(("source", "base_url"), spec.source.base_url)
    yield from _destination_address_problems(spec.destination)
    yield from _auth_problems(("source", "auth"), spec.source.auth, ssh=any(map(_is_sftp, spec.source.options.values())))
    yield from _auth_problems(("destination", "auth"), spec.destination.auth, ssh=_is_sftp(spec.destination.base_url))
    yield from _webhook_problems(spec.destination.webhook)
    yield from _route_problems(spec)
    yield from _changes_problems(spec.changes)
    if spec.assistant_method not in (None, "percentage", "simple"):
        yield _problem(("assistant_method",), f"{spec.assistant_method!r} is not one of percentage, simple.")
    for place, word in enumerate(spec.exclude_visits):
        if word not in KEPT_FROM_PAYERS:
            yield _problem(("exclude_visits", place), f"{word!r} is not one of {', '.join(KEPT_FROM_PAYERS)}.")
    if spec.first_service_date is not None and not _is_date(spec.first_service_date):
        yield _problem(("first_service_date",), f"{spec.first_service_date!r} is not a date. Write it as 2026-01-31.")


def _problem(key: Key, text: str) -> Problem:
    return Problem(key, f"{'.'.join(str(part) for part in key)}: {text}")


def _changes_problems(spec: ChangesSpec) -> Iterator[Problem]:
    if spec.hold_window_minutes < 0:
        yield _problem(("changes", "hold_window_minutes"), f"{spec.hold_window_minutes} is less than nothing. 0: no window.")
    for word in sorted(set(spec.confirm) - set(CONFIRM_WORDS)):
        known = ", ".join(CONFIRM_WORDS)
        yield _problem(("changes", "confirm"), f"unknown correction {word!r}. Known words: {known}.")


def _name_problems(spec: ClinicSpec, file_name: str) -> Iterator[Problem]:
    if not _NAME.fullmatch(spec.clinic):
        yield _problem(("clinic",), f"{spec.clinic!r} is not a short name. Use a-z, 0-9, - and _ only.")
    elif spec.clinic != file_name:
        yield _problem(
            ("clinic",), f"{spec.clinic!r} differs from the file's name. Rename the file to {spec.clinic}.yaml, or this."
        )


def _address_problems(key: Key, address: str) -> Iterator[Problem]:
    """Patient data travels encrypted; plain http is for this machine itself only (45 CFR 164.312(e)(1))."""
    if not address:
        return
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        yield _problem(key, f"{address!r} is not an address. Write it as https://emr.example/fhir.")
        return
    if parts.username or parts.password:
        yield _problem(key, "holds a user name or password. Move it to `auth`.")
    elif parts.scheme not in ("http", "https") or not host:
        yield _problem(key, f"{address!r} is not an address. Write it as https://emr.example/fhir.")
    elif parts.scheme == "http" and not is_this_machine(host):
        yield _problem(key, f"{address!r} is not encrypted. Use https; http is taken for this machine only.")
    elif parts.query or parts.fragment:
        yield _problem(key, f"{address!r} has a query or fragment. Give the base address only.")


def _destination_address_problems(spec: DestinationSpec) -> Iterator[Problem]:
    """As every address; and MLLP, in the clear for this machine only unless the option says otherwise in so many words."""
    key, address = ("destination", "base_url"), spec.base_url
    if _is_sftp(address):
        yield from _address_problems(key, address.replace("sftp://", "https://", 1))
        return
    if not address.startswith(("mllp://", "mllps://")):
        yield from _address_problems(key, address)
        return
    secured = address.startswith("mllps://") or spec.options.get("insecure_plaintext") == "yes"
    twin = f"{'https' if secured else 'http'}://{address.partition('://')[2]}"
    for problem in _address_problems(key, twin):
        example = problem.text.replace("https://emr.example/fhir", "mllps://biller.example:2575")
        yield Problem(key, example.replace("http", "mllp"))


def _is_sftp(value: object) -> bool:
    return isinstance(value, str) and value.startswith("sftp://")


def _auth_problems(key: Key, auth: AuthSpec, *, ssh: bool) -> Iterator[Problem]:
    if auth.method not in AUTH_METHODS:
        yield _problem((*key, "method"), f"{auth.method!r} is not one of {', '.join(AUTH_METHODS)}.")
        return
    if ssh != (auth.method in SSH_METHODS):
        wanted = "an sftp:// address needs" if ssh else f"{auth.method} is for an sftp:// address; another takes"
        choice = SSH_METHODS if ssh else [name for name in AUTH_METHODS if name not in SSH_METHODS]
        yield _problem((*key, "method"), f"{wanted} one of {', '.join(choice)}.")
    for needed in AUTH_METHODS[auth.method]:
        if not getattr(auth, needed):
            yield _problem((*key, needed), f"is missing; {auth.method} needs it. Add it.")
    for name in ("secret", "private_key"):
        text = getattr(auth, name)
        if text and not is_reference(text):
            yield _problem((*key, name), literal_advice())
    if auth.algorithm not in ("RS384", "ES384"):
        yield _problem((*key, "algorithm"), f"{auth.algorithm!r} is not one of RS384, ES384.")
    yield from _address_problems((*key, "token_url"), auth.token_url or "")


def _webhook_problems(webhook: WebhookSpec | None) -> Iterator[Problem]:
    key = ("destination", "webhook")
    if webhook is not None and webhook.scheme not in WEBHOOK_SCHEMES:
        yield _problem((*key, "scheme"), f"{webhook.scheme!r} is not one of {', '.join(WEBHOOK_SCHEMES)}.")
    if webhook is not None and not is_reference(webhook.secret):
        yield _problem((*key, "secret"), literal_advice())


def _route_problems(spec: ClinicSpec) -> Iterator[Problem]:
    """A payer that two routes claim could be billed by either policy, so it is refused."""
    seen: dict[tuple[str, str], int] = {}
    for index, route in enumerate(spec.payers):
        if not route.ids and not route.names:
            yield _problem(("payers", index), "has neither ids nor names, so no coverage can match it. Add one.")
        for kind, words in (("ids", route.ids), ("names", route.names)):
            for word in words:
                first = seen.setdefault((kind, word), index)
                if first != index:
                    yield _problem(("payers", index, kind), f"{word!r} is already in payers[{first}]. Keep it in one.")


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
