"""What `ptbridge init` asks, in which order, and when a question makes sense. What a platform needs, its own file declares."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from ptbridge.cli import screen
from ptbridge.cli.init_claims import STATED, ClaimPayer, Street
from ptbridge.errors import ConfigError
from ptbridge.ports import DestinationInfo

Given = dict[str, Any]

EMR_AUTH = ("private_key_jwt", "client_secret_basic", "client_secret_post", "bearer", "none")
BILLER_AUTH = (
    *("bearer", "api_key", "form_key", "client_secret_basic", "client_secret_post", "client_secret_json"),
    *("ssh_key", "ssh_password", "none"),
)
_CLAIM_WORDS = {
    "accepts_assignment": ("Does the clinic accept assignment (CLM07: A yes, C no)", ("A", "B", "C")),
    "benefits_assigned": ("Are benefits assigned to the clinic (CLM08: Y, N, W not applicable)", ("Y", "N", "W")),
    "release_of_information": ("Release of information (CLM09: Y signed, I informed consent)", ("Y", "I")),
    "signature_on_file": ("Is the provider's signature on file (CLM06)", ("Y", "N")),
}
assert set(_CLAIM_WORDS) == set(STATED)


# ---------------------------------------------------------------- what an answer must be


def _short_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", text):
        raise click.BadParameter("a short name has a-z, 0-9, - and _ only.")
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise click.BadParameter(f"{text!r} is not an IANA time zone. Write it as America/Chicago.") from None
    return text


def _npi(text: str) -> str:
    from ptbridge.cli.checks import npi_is_well_formed

    if not npi_is_well_formed(text):
        raise click.BadParameter("an NPI has ten digits, and the last one checks the others; this one does not.")
    return text


def _address(text: str) -> str:
    try:
        Street.read(text)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from None
    return text


def _door_or_folder(text: str) -> str:
    if re.fullmatch(r"localhost|[\d.]+|\[[\da-fA-F:]+\]", text):
        raise click.BadParameter(f"{text!r} has no port. Write it as 127.0.0.1:2575, or name a folder.")
    return text


# ---------------------------------------------------------------- the questions


@dataclass(frozen=True, slots=True)
class Question:
    """`wanted` decides after the answers so far; a `default` of None means that there must be an answer.

    `later`: it may be left empty and filled in afterwards; without a terminal it is not asked for.
    """

    text: str
    default: str | None = None
    wanted: Callable[[Given], bool] = lambda given: True
    check: Callable[[str], str] | None = None
    choices: tuple[str, ...] = ()
    later: bool = False


def biller(given: Mapping[str, Any]) -> DestinationInfo:
    """What the chosen destination declares. Raises ConfigError for one that is not there."""
    from ptbridge import plugins

    info: DestinationInfo = plugins.destination(given["destination"]).INFO
    return info


def standard(given: Mapping[str, Any]) -> str:
    """What the chosen connector speaks. Raises ConfigError for one that is not there."""
    from ptbridge import plugins

    return str(plugins.connector(given["connector"]).INFO.standard)


def takes_files(info: DestinationInfo) -> bool:
    """Whether a folder or an sftp:// address can be its place."""
    return "base_url" not in info.needs


def _asks_emr(given: Given) -> bool:
    return standard(given).startswith("FHIR")  # messages and files come by themselves: there is no server to ask


def _has_client(given: Given) -> bool:
    return given["emr_auth"] not in (None, "none", "bearer")


def _somewhere(given: Given) -> bool:
    return not given["biller_url"] and not given["biller_folder"]


def _over_sftp(given: Given) -> bool:
    return bool((given["biller_url"] or "").startswith("sftp://"))


def _knows_client(given: Given) -> bool:
    chosen = given["biller_auth"] or next(iter(biller(given).auth), "")
    return bool(given["biller_url"] and chosen.startswith("client_secret"))


_FIRST = {
    "clinic": Question("Short name of the clinic", check=_short_name),
    "name": Question("Its name as it bills"),
    "time_zone": Question("Its time zone", "America/Chicago", check=_zone),
    "npi": Question("The billing provider's NPI", check=_npi),
    "connector": Question("Connector to the EMR", "fhir_r4"),
    "emr_url": Question("The EMR's FHIR base address", wanted=_asks_emr),
    "emr_auth": Question(
        "How to prove who we are to the EMR", "private_key_jwt", lambda given: _asks_emr(given), choices=EMR_AUTH
    ),
    "client_id": Question("The client id that the EMR gave us", wanted=_has_client),
    "listen": Question(
        "Where the EMR's messages come: host:port to listen on, or the folder that it writes them to",
        "127.0.0.1:2575",
        lambda given: standard(given) == "HL7 v2" and "drop_folder" not in given["emr_options"],
        check=_door_or_folder,
    ),
    "destination": Question("How charges go to the biller", "charge_api"),
}
_PLACE = {
    "biller_url": Question("The biller's address", wanted=lambda given: _somewhere(given) and not takes_files(biller(given))),
    "biller_folder": Question(
        "Where the biller reads: a folder here, or sftp://host/folder",
        "outbox",
        lambda given: _somewhere(given) and takes_files(biller(given)),
    ),
    "profile": Question(
        "The interface profile: full_day, charge_master_p11, or a file of your own",
        wanted=lambda given: "profile" in biller(given).required,
    ),
    "biller_user": Question("The user at the SFTP server", wanted=_over_sftp),
    "biller_host_key": Question("The SFTP server's host key (SHA256:…)", wanted=_over_sftp),
    "biller_client_id": Question("The client id that the biller gave us", wanted=_knows_client),
}


def _needs(key: str) -> Callable[[Given], bool]:
    return lambda given: key in biller(given).states


_CLAIMS = {
    "tax_id": Question("The billing provider's tax id, as 12-3456789 (EIN)", "", _needs("billing_provider.tax_id"), later=True),
    "address": Question(
        "Its street address, as 100 Oak Street, Columbus, OH 43215-1234",
        "",
        _needs("billing_provider.address"),
        check=_address,
        later=True,
    ),
    "contact": Question("Whom a payer may call about claims", "", _needs("billing_provider.contact"), later=True),
    "phone": Question("That telephone, as 614-555-0100", "", _needs("billing_provider.phone"), later=True),
    **{
        key: Question(text, "", _needs(f"claims.{key}"), choices=(*choices, ""), later=True)
        for key, (text, choices) in _CLAIM_WORDS.items()
    },
}
_LISTED = ("connector", "destination")
_IS_ADDRESS = re.compile(r"[^/\s]+:\d+")  # else it is a folder


def ask(given: Given) -> Given:
    """Every question that the flags leave open, on a terminal; a wrong answer is asked for again."""
    answers = dict(given)
    for key, question in _FIRST.items():
        if not answers[key] and question.wanted(answers):
            answers[key] = _one_of(key, question) if key in _LISTED else _answer(question)
            if key == "listen" and not _IS_ADDRESS.fullmatch(answers[key]):
                answers["emr_options"]["drop_folder"], answers[key] = answers[key], None
        if key == "connector":
            for name, text in _open_source_options(answers).items():
                answers["emr_options"][name] = click.prompt(f"{name} ({text})", err=True)
    _ask_place(answers)
    for name in _open_options(answers):
        answers["biller_options"][name] = click.prompt(f"{name} ({biller(answers).options[name]})", err=True)
    for name in _offered_options(answers):
        text = f"{name} ({biller(answers).options[name]}; empty: none)"
        if told := str(click.prompt(text, default="", show_default=False, err=True)).strip():
            answers["biller_options"][name] = told
    if any(question.wanted(answers) for question in _CLAIMS.values()):
        click.echo("What claims state. An empty answer leaves it for later; until then no claim goes.", err=True)
    for key, question in _CLAIMS.items():
        if not answers[key] and question.wanted(answers):
            answers[key] = _answer(question)
    if not answers["payers"]:
        _ask_payers(answers)
    return answers


def _ask_place(answers: Given) -> None:
    for key, question in _PLACE.items():
        if answers[key] or not question.wanted(answers):
            continue
        if key == "biller_folder" and not biller(answers).needs:  # messages too, so that no folder is the usual place
            question = replace(question, text=f"{question.text}, or mllps://host:port", default=None)
        answers[key] = _answer(question, biller(answers).address if key == "biller_url" else None)
        if key == "biller_folder" and "://" in answers[key]:
            answers["biller_url"], answers["biller_folder"] = answers[key], ""


def _answer(question: Question, usual: str | None = None) -> str:
    kind = click.Choice(question.choices) if question.choices else None
    default = usual or question.default

    def read(text: str) -> str:
        told = text.strip()
        if question.later and not told:
            return ""
        if kind is not None:
            return str(kind.convert(told, None, None))
        return question.check(told) if question.check else told

    shown = [choice for choice in question.choices if choice]
    text = f"{question.text} ({', '.join(shown)})" if shown and not question.later else question.text
    return str(click.prompt(text, default=default, show_default=bool(default), value_proc=read, err=True))


def _one_of(key: str, question: Question) -> str:
    """A plugin by its name, all of them shown with what they are."""
    from ptbridge import plugins

    names = plugins.connector_names() if key == "connector" else plugins.destination_names()
    module = plugins.connector if key == "connector" else plugins.destination
    click.echo(screen.table([(name, module(name).INFO.summary) for name in names]), err=True)
    return str(click.prompt(question.text, default=question.default, type=click.Choice(names), show_choices=False, err=True))


def _ask_payers(answers: Given) -> None:
    """Payers one by one, until an empty answer."""
    from ptbridge.policy.payers import shipped_payers

    policies = sorted(shipped_payers())
    names_payers = "claims.payers" in biller(answers).states
    click.echo(f"Payers, each with the policy that counts its units: {', '.join(policies)}.", err=True)
    while True:
        text = "A payer's id as the EMR gives it (empty: no more)"
        payer = str(click.prompt(text, default="", show_default=False, err=True)).strip()
        if not payer:
            return
        policy = click.prompt("Its policy", type=click.Choice(policies), show_choices=False, err=True)
        answers["payers"] = (*answers["payers"], f"{payer}={policy}")
        if names_payers:
            answers["claim_payers"] = (*answers["claim_payers"], _claim_payer(payer))


def _claim_payer(payer: str) -> ClaimPayer:
    return ClaimPayer(
        payer=payer,
        id=click.prompt("Its id at the platform or clearinghouse", err=True),
        name=click.prompt("Its name on a claim", err=True),
        filing=click.prompt("Its filing indicator (MB Medicare, CI commercial, BL Blue Cross, WC, AM …)", err=True).upper(),
    )


# ---------------------------------------------------------------- without a terminal


_FLAGS = {
    "biller_folder": "--biller-folder or --biller-url",
    "listen": "--listen or --emr-option drop_folder=DIR",
}


def require(given: Given) -> Given:
    """Fill what has a default; name every other missing option at once. A time zone is never guessed."""
    answers = dict(given)
    for key in ("connector", "emr_auth", "destination"):
        if not answers[key] and _FIRST[key].wanted(answers):
            answers[key] = _FIRST[key].default
    if _PLACE["biller_url"].wanted(answers):
        answers["biller_url"] = biller(answers).address
    questions = {**_FIRST, **_PLACE}
    missing = [key for key, question in questions.items() if not answers[key] and question.wanted(answers)]
    words = [_FLAGS.get(key, f"--{key.replace('_', '-')}") for key in missing]
    words += [f"--emr-option {name}=…" for name in _open_source_options(answers)]
    words += [f"--biller-option {name}=…" for name in _open_options(answers)]
    if words:
        raise click.UsageError("there is no terminal to ask on. Add " + ", ".join(words))
    return answers


def _open_options(answers: Given) -> list[str]:
    """What the platform cannot be built without, and no flag gave."""
    required = (name for name in biller(answers).required if name != "profile")
    return [name for name in required if name not in answers["biller_options"]]


def _offered_options(answers: Given) -> list[str]:
    """Options of the platform that can be left out and should not be forgotten, and no flag gave."""
    return [name for name in biller(answers).offered if name not in answers["biller_options"]]


def _open_source_options(answers: Given) -> dict[str, str]:
    """What the connector cannot do without, and no flag gave: name and help."""
    from ptbridge import plugins

    info = plugins.connector(answers["connector"]).INFO
    asked = {"address"} if info.standard == "HL7 v2" else set()  # by the question where to listen
    return {name: info.parameters[name] for name in info.required if name not in answers["emr_options"] and name not in asked}
