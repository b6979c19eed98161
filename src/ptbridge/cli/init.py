"""`ptbridge init`: ask, and write a config folder that `ptbridge doctor` accepts. Nothing that exists is overwritten."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ptbridge.cli import init_questions, screen
from ptbridge.cli.init_claims import STATED, ClaimPayer, Street, unstated
from ptbridge.cli.init_files import MORE_RESOURCES, SCOPES, Answers, allowed_file, medicare, scopes_of, text_of
from ptbridge.cli.init_questions import BILLER_AUTH, EMR_AUTH
from ptbridge.cli.options import config_option, json_option
from ptbridge.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What `init` wrote: paths inside the config folder; `jwks` is what to register at the EMR; `todo` is left to a person."""

    folder: Path
    files: tuple[str, ...]
    jwks: Path | None
    todo: tuple[str, ...]


@click.command()
@config_option
@click.option("--clinic", metavar="NAME", help="Short name: a-z, 0-9, - and _.")
@click.option("--name", metavar="TEXT", help="The clinic's name as it bills.")
@click.option("--time-zone", metavar="ZONE", help="IANA zone such as America/Chicago.")
@click.option("--npi", metavar="NPI", help="The billing provider's NPI.")
@click.option("--tax-id", metavar="ID", default="", help="The billing provider's tax id.")
@click.option("--taxonomy", metavar="CODE", default="", help="Its taxonomy code, such as 261QP2000X.")
@click.option("--address", metavar="TEXT", default="", help="Its address, as '100 Oak Street, Columbus, OH 43215-1234'.")
@click.option("--contact", metavar="NAME", default="", help="Whom a payer may call about claims.")
@click.option("--phone", metavar="NUMBER", default="", help="That telephone.")
@click.option("--connector", metavar="NAME", help="Which EMR; ptbridge connector list.  [default: fhir_r4]")
@click.option("--mapping", metavar="NAME", default="", help="Shipped mapping to extend; the connector's own otherwise.")
@click.option("--emr-url", metavar="URL", help="The EMR's FHIR base address.")
@click.option("--emr-auth", type=click.Choice(EMR_AUTH), help="How to prove who we are.  [default: private_key_jwt]")
@click.option("--client-id", metavar="ID", help="The id under which the EMR registered us.")
@click.option("--token-url", metavar="URL", default="", help="Pin the token endpoint; discovered otherwise.")
@click.option("--scope", "scopes", metavar="SCOPE", multiple=True, help="A scope to ask for; repeat it.")
@click.option(
    "--read", "reads", type=click.Choice(MORE_RESOURCES), multiple=True, help="What more to read from a FHIR server; repeat it."
)
@click.option("--emr-secret", metavar="REF", default="file:secrets/emr_secret", help="Reference to the client secret or token.")
@click.option(
    "--emr-option",
    "emr_options",
    metavar="NAME=VALUE",
    multiple=True,
    help="What the connector can be told (ptbridge connector options NAME); repeat it.",
)
@click.option("--listen", metavar="ADDRESS", help="Where to receive an EMR's HL7 v2 messages, as 127.0.0.1:2575.")
@click.option("--destination", metavar="NAME", help="How charges go; ptbridge destination list.  [default: charge_api]")
@click.option("--biller-url", metavar="URL", help="The biller's address: https://, mllps:// or sftp://.")
@click.option(
    "--biller-folder", metavar="DIR", default="", help="A folder here that the biller reads, for platforms that take files."
)
@click.option(
    "--biller-option",
    "biller_options",
    metavar="NAME=VALUE",
    multiple=True,
    help="What the platform can be told (ptbridge destination options NAME); repeat it.",
)
@click.option("--profile", metavar="NAME", help="What was agreed about HL7 v2: a shipped interface profile, or a file.")
@click.option("--biller-auth", type=click.Choice(BILLER_AUTH), help="How the biller knows us.  [default: the platform's way]")
@click.option("--biller-client-id", metavar="ID", default="", help="The id under which the biller registered us.")
@click.option("--biller-token-url", metavar="URL", default="", help="The biller's token endpoint.")
@click.option("--biller-user", metavar="NAME", help="The user of an SFTP server.")
@click.option("--biller-host-key", metavar="KEY", help="The SFTP server's own key: SHA256:… or ssh-ed25519 AAAA….")
@click.option("--biller-secret", metavar="REF", default="file:secrets/biller_token", help="Reference to the biller's token.")
@click.option(
    "--payer", "payers", metavar="ID=POLICY", multiple=True, help="A payer's id as the EMR gives it, and its policy; repeat it."
)
@click.option(
    "--claim-payer",
    "claim_payers",
    metavar="ID=PLATFORM-ID,FILING,NAME",
    multiple=True,
    help="How claims name that payer, as MCR-B=15202,MB,MEDICARE OHIO; repeat it.",
)
@click.option("--accepts-assignment", type=click.Choice(("A", "B", "C")), help="What each claim states: CLM07.")
@click.option("--benefits-assigned", type=click.Choice(("Y", "N", "W")), help="What each claim states: CLM08.")
@click.option("--release-of-information", type=click.Choice(("Y", "I")), help="What each claim states: CLM09.")
@click.option("--signature-on-file", type=click.Choice(("Y", "N")), help="What each claim states: CLM06.")
@click.option(
    "--environment",
    type=click.Choice(("sandbox", "production")),
    help="What both sides are; otherwise each by its address.",
)
@json_option
def init(config_folder: Path, json_wanted: bool, scopes: tuple[str, ...], **given: Any) -> None:
    """Write a config folder for a clinic.

    Asks for what the options leave open, if there is a terminal to ask on. Secrets are named by reference (env:NAME,
    file:path, keyring:service/name), never given here. For private_key_jwt it makes a key and the JWKS to register.
    """
    given["biller_options"] = dict(_pair(text, "--biller-option", "usage=P") for text in given["biller_options"])
    given["emr_options"] = dict(_pair(text, "--emr-option", "folder=extracts") for text in given["emr_options"])
    given["claim_payers"] = tuple(ClaimPayer.read(text) for text in given["claim_payers"])
    asks = sys.stdin.isatty() and not json_wanted
    complete = init_questions.ask(given) if asks else init_questions.require(given)
    complete["reads"] = tuple(dict.fromkeys(complete["reads"]))
    answers = _answers(complete, scopes or (*SCOPES, *scopes_of(complete["reads"])))
    written = write(config_folder, answers)
    if json_wanted:
        screen.put_json(
            {
                "folder": str(written.folder),
                "files": written.files,
                "jwks": str(written.jwks or "") or None,
                "todo": written.todo,
            }
        )
        return
    _show(written)


def _pair(text: str, flag: str, example: str) -> tuple[str, str]:
    """Two words with an equals sign between. Raises BadParameter."""
    name, equals, value = text.rpartition("=") if flag == "--payer" else text.partition("=")  # a payer's id may hold one
    if not equals or not name.strip() or not value.strip():
        form = "ID=POLICY" if flag == "--payer" else "NAME=VALUE"
        raise click.BadParameter(f"{text!r} is not {form}, such as {example}", param_hint=flag)
    return name.strip(), value.strip()


def _answers(given: dict[str, Any], scopes: tuple[str, ...]) -> Answers:
    """The answers, checked against what is there: the connector, the destination, the policies."""
    from ptbridge import plugins

    connector = plugins.connector(given["connector"])
    if unknown := sorted(set(given["emr_options"]) - set(connector.INFO.parameters)):
        known = ", ".join(connector.INFO.parameters)
        raise ConfigError(f"--emr-option {unknown[0]}: {connector.INFO.name} has no such option. Known options: {known}.")
    _check_destination(given)
    routes = _routes(given.pop("payers"))
    given["mapping"] = given["mapping"] or connector.INFO.mapping
    given["emr_auth"] = given["emr_auth"] or "none"
    address = given.pop("listen")
    if address and connector.INFO.standard != "HL7 v2":
        raise ConfigError(f"--listen is for HL7 v2; {given['connector']} speaks {connector.INFO.standard}. Leave it out.")
    reads = given.pop("reads")
    if reads and not connector.INFO.standard.startswith("FHIR"):
        raise ConfigError(f"--read is for FHIR; {given['connector']} speaks {connector.INFO.standard}. Leave it out.")
    stated = {key: word for key in STATED if (word := given.pop(key))}
    street = given.pop("address")
    options = given.pop("emr_options") | ({"address": address} if address else {}) | ({"resources": reads} if reads else {})
    kept = {name: given.pop(name) for name in ("biller_options", "claim_payers")}
    texts: dict[str, Any] = {key: value or "" for key, value in given.items()}
    info = init_questions.biller(given)
    return Answers(
        **texts,
        **kept,
        address=Street.read(street) if street else None,
        stated=stated,
        needed=info.states,
        offered={name: info.options[name] for name in info.offered if name not in kept["biller_options"]},
        payers=routes,
        scopes=scopes,
        options=options,
    )


def _routes(payers: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Each payer's id and its policy. Raises ConfigError for a policy that is not there."""
    from ptbridge.policy.payers import shipped_payers

    policies = shipped_payers()
    routes = tuple(_pair(text, "--payer", "MCR-B=medicare_part_b") for text in payers)
    for payer, policy in routes:
        if policy not in policies:
            raise ConfigError(f"--payer {payer}: there is no policy {policy!r}. Known: {', '.join(sorted(policies))}.")
    return routes


def _check_destination(given: dict[str, Any]) -> None:
    """The biller's place and how it knows us, as the platform declares them. Raises ConfigError."""
    info, address = init_questions.biller(given), given["biller_url"] or ""
    files = init_questions.takes_files(info)
    if given["biller_folder"] and (address or not files):
        raise ConfigError("--biller-folder is for a platform that takes files, without --biller-url. Leave one out.")
    if address.startswith("sftp://") and not files:
        raise ConfigError(f"sftp:// takes files; {info.name} sends none. Name its https:// address.")
    if address.startswith(("http://", "https://")) and files and not info.name == "hl7v2_dft":
        raise ConfigError(f"{address!r}: {info.name} writes files. Name a folder, or sftp://host/folder.")
    info.refuse_unknown(given["biller_options"])
    if "profile" in info.required:
        _check_profile(given["profile"], address)
    plain = not address or address.startswith(("mllp://", "mllps://"))
    usual = "none" if plain else "ssh_key" if address.startswith("sftp://") else info.auth[0]
    given["biller_auth"] = given["biller_auth"] or usual
    if given["biller_auth"].startswith("client_secret"):
        given["biller_token_url"] = given["biller_token_url"] or info.token_url
    if given["biller_auth"] == "ssh_password":
        given["biller_secret"] = given["biller_secret"].replace("secrets/biller_token", "secrets/biller_password")


def _check_profile(name: str, address: str) -> None:
    """A shipped profile is read now; a file of the clinic's own may follow. Raises ConfigError."""
    from ptbridge.specs.interface_profile import load_interface

    if address and not address.startswith(("mllp://", "mllps://", "sftp://")):
        raise ConfigError(f"{address!r}: HL7 v2 goes to mllps://host:port or sftp://host/folder, or into --biller-folder.")
    if not name.endswith((".yaml", ".yml")):
        load_interface(name)


def write(folder: Path, answers: Answers) -> Written:
    """Write the files of a clinic into a config folder, made if absent.

    Raises ConfigError, with nothing written, when a file is there already or an answer is refused. A private key that is
    there already is used as it is: one key may serve several clinics of one EMR.
    """
    texts = text_of(answers)
    clinic_files = [name for name in texts if name != ".gitignore"]
    there = [name for name in clinic_files if (folder / name).exists()]
    if there:
        raise ConfigError(
            f"{', '.join(there)} already there. Nothing was written; choose another --clinic or --config.", where=str(folder)
        )
    _check(folder, answers.clinic, texts[f"clinics/{answers.clinic}.yaml"])
    for private in ("secrets", "state"):
        (folder / private).mkdir(parents=True, exist_ok=True)
        (folder / private).chmod(0o700)
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if name in clinic_files or not path.exists():
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    jwks = _key(folder, answers) if answers.emr_auth == "private_key_jwt" else None
    return Written(folder=folder, files=tuple(texts), jwks=jwks, todo=tuple(_todo(folder, answers, jwks)))


def _check(folder: Path, clinic: str, text: str) -> None:
    """Read the clinic file as `doctor` will, from a folder of its own, so that a wrong answer leaves nothing behind."""
    from ptbridge.specs.config import load_config

    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "clinics").mkdir()
        (Path(scratch) / "clinics" / f"{Path(clinic).name}.yaml").write_text(text, "utf-8")
        try:
            load_config(scratch)
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(Path(scratch).resolve()), str(folder)) + " Nothing was written.") from None


def _key(folder: Path, answers: Answers) -> Path:
    """Make the private key (mode 0600 from its first byte) and the JWKS with its public half."""
    import json

    from ptbridge.wire.keys import generate_private_key, jwks

    key_file = folder / answers.private_key.removeprefix("file:")
    if not key_file.exists():
        write_private(key_file, generate_private_key(answers.algorithm))
    public = folder / "emr_jwks.json"
    public.write_text(json.dumps(jwks(key_file.read_text("utf-8"), answers.algorithm), indent=2) + "\n", "utf-8")
    return public


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner can read, whatever the umask. Raises FileExistsError if it is there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _todo(folder: Path, answers: Answers, jwks: Path | None) -> list[str]:
    """What only a person can do, in order."""
    steps = [f"Register {jwks} at the EMR: it is the public half of our key."] if jwks else []
    wanted = [answers.emr_secret] if answers.emr_auth in ("bearer", "client_secret_basic", "client_secret_post") else []
    if answers.biller_url and answers.biller_auth != "none":
        wanted.append(answers.biller_key if answers.biller_auth == "ssh_key" else answers.biller_secret)
    for reference in wanted:
        place = folder / reference.removeprefix("file:")
        if reference.startswith("file:") and not place.exists():
            steps.append(f"Put the secret into {place}, for you alone to read: (umask 077; cat > {place})")
    if not answers.payers:
        steps.append(
            f"Name the payers and their policies in {folder}/clinics/{answers.clinic}.yaml; visits of others are held."
        )
    missing = unstated(answers.needed, _given(answers), dict(answers.payers), [one.payer for one in answers.claim_payers])
    if missing:
        steps.append(
            f"Complete {folder}/clinics/{answers.clinic}.yaml: each claim needs {', '.join(missing)}. "
            "Until then every day is held, and nothing goes."
        )
    steps.append(f"Enter prices in {folder}/fees/{answers.clinic}.csv.")
    if medicare(answers):
        steps.append(
            f"Write what Medicare allows for one unit of each code (the fee schedule of your locality) into "
            f"{folder}/{allowed_file(answers)}, with the heading of the prices, and take the mark off `allowed:` in the clinic "
            "file. Until then nobody can tell when a patient's year passes the KX threshold, and each day says so."
        )
    if answers.profile.endswith((".yaml", ".yml")) and not (folder / answers.profile).exists():
        steps.append(f"Write down what was agreed with the biller in {folder}/{answers.profile}: docs/interface-profiles.md.")
    return steps


def _given(answers: Answers) -> list[str]:
    """The keys of the clinic file that a claim states, and that were given."""
    billing = ("tax_id", "taxonomy", "address", "contact", "phone")
    return [f"billing_provider.{key}" for key in billing if getattr(answers, key)] + [f"claims.{key}" for key in answers.stated]


def _show(written: Written) -> None:
    screen.say(f"Wrote {written.folder}/", bold=True)
    for name in written.files:
        screen.say(f"  {name}")
    screen.say()
    screen.say("Next", bold=True)
    for number, step in enumerate((*written.todo, f"ptbridge doctor --config {written.folder}"), 1):
        screen.say(screen.wrapped(step, indent=f"  {number}. ", then="     "))
