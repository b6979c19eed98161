"""The files of a new config folder, as text. Pure: what is written where is decided here, writing is `init`'s."""

from __future__ import annotations

from dataclasses import dataclass, field

from ptbridge.cli.init_claims import ClaimPayer, Street, claims_text, quoted
from ptbridge.specs.clinic import DestinationSpec, SourceSpec
from ptbridge.specs.environment import destination_environment, source_environment

# What the FHIR connectors join to an Encounter; a connector option can leave one out where the EMR grants less.
_RESOURCES = (
    *("Encounter", "Patient", "Procedure", "ChargeItem", "Condition", "Coverage", "DocumentReference", "Practitioner"),
    *("PractitionerRole", "Location", "Organization", "Appointment", "RelatedPerson"),
)
SCOPES = tuple(f"system/{resource}.read" for resource in _RESOURCES)
# Read only where the clinic says so, and asked for only then: an EMR may refuse a token for a scope that it does not grant.
MORE_RESOURCES = ("Account", "Appointment", "CarePlan", "ServiceRequest")
_THRESHOLD_POLICY = "medicare_part_b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What `init` asked. Secrets are references here as in the files; an empty text leaves its key out."""

    clinic: str
    name: str
    time_zone: str
    npi: str
    tax_id: str = ""
    taxonomy: str = ""
    address: Street | None = None
    contact: str = ""
    phone: str = ""
    connector: str = "fhir_r4"
    mapping: str = "emrs/fhir_r4"  # the shipped mapping that the clinic's own extends
    emr_url: str = ""
    emr_auth: str = "private_key_jwt"
    client_id: str = ""
    token_url: str = ""
    emr_secret: str = "file:secrets/emr_secret"  # noqa: S105 - a reference
    private_key: str = "file:secrets/emr_private_key.pem"
    algorithm: str = "RS384"
    scopes: tuple[str, ...] = SCOPES
    destination: str = "charge_api"
    biller_url: str = ""
    biller_folder: str = ""
    profile: str = ""  # hl7v2_dft: what was agreed with the biller
    biller_auth: str = "bearer"
    biller_user: str = ""
    biller_host_key: str = ""
    biller_key: str = "file:secrets/biller_ssh_key"  # a reference
    biller_secret: str = "file:secrets/biller_token"  # noqa: S105 - a reference
    biller_client_id: str = ""
    biller_token_url: str = ""
    biller_options: dict[str, str] = field(default_factory=dict)
    offered: dict[str, str] = field(default_factory=dict)  # options of the biller that were left out, with their help
    needed: tuple[str, ...] = ()  # keys of the clinic file that each claim of this platform states
    stated: dict[str, str] = field(default_factory=dict)  # those of `claims` that were given
    claim_payers: tuple[ClaimPayer, ...] = ()
    payers: tuple[tuple[str, str], ...] = ()  # (payer id as the EMR gives it, policy)
    requests_per_second: str = ""
    environment: str = ""  # sandbox or production, of both sides; empty: each by its address
    options: dict[str, str | tuple[str, ...]] = field(default_factory=dict)


def scopes_of(reads: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes that these resource types need beyond SCOPES."""
    return tuple(scope for scope in (f"system/{resource}.read" for resource in reads) if scope not in SCOPES)


def text_of(answers: Answers) -> dict[str, str]:
    """Path inside the config folder -> text of the file."""
    return {
        f"clinics/{answers.clinic}.yaml": clinic_file(answers),
        f"mappings/{answers.clinic}.yaml": mapping_file(answers),
        f"fees/{answers.clinic}.csv": "procedure,modifiers,amount,from,to,source\n",
        ".gitignore": "# Keys, patient data and logs stay out of version control.\nsecrets/\nstate/\n",
    }


def medicare(answers: Answers) -> bool:
    """Whether a payer's yearly thresholds must be watched here (KX, 42 CFR 410.59(e), 410.60(e))."""
    return any(policy == _THRESHOLD_POLICY for _, policy in answers.payers)


def allowed_file(answers: Answers) -> str:
    """Where the clinic enters what Medicare allows for one unit."""
    return f"fees/{answers.clinic}_medicare_allowed.csv"


def clinic_file(answers: Answers) -> str:
    """The clinic file: place, time, EMR, biller, payers. Every key that a person may want is there or named in a comment."""
    return f"""\
# {answers.clinic}: where it is, which EMR it uses, and who bills for it.
# What the EMR's words mean stands in mappings/{answers.clinic}.yaml, prices in fees/{answers.clinic}.csv, secrets in secrets/.
# Relative paths start at the folder above this one. After an edit, run: ptbridge doctor

clinic: {quoted(answers.clinic)}
name: {quoted(answers.name)}
time_zone: {quoted(answers.time_zone)}  # decides the service date of a visit
# first_service_date: "2026-01-01"     # nothing before this day is pulled or billed

billing_provider:  # X12 loop 2010AA
  npi: "{answers.npi}"
  name: {quoted(answers.name)}
{_billing(answers)}
source:
  connector: {quoted(answers.connector)}  # ptbridge connector list
{_server(answers)}{_environment(answers.environment or _source_told(answers))}  mapping: mappings/{answers.clinic}.yaml
{_auth(answers, _source_auth(answers))}{_options(answers.options)}{_rate(answers.requests_per_second)}
destination:
  platform: {quoted(answers.destination)}
{_environment(answers.environment or _biller_told(answers))}{_place(answers)}
{claims_text(answers.stated, answers.claim_payers, answers.needed)}{_payers(answers)}
fees: fees/{answers.clinic}.csv
# assistant_method: percentage  # or simple: which of the two official 10 % computations this clinic recorded
"""


_BILLING = {"tax_id": "12-3456789", "taxonomy": "261QP2000X", "contact": "Billing Office", "phone": "614-555-0100"}
_ADDRESS = '{lines: [100 Oak Street], city: Columbus, state: OH, postal_code: "43215-1234"}'


def _billing(answers: Answers) -> str:
    """What else is known of the billing provider; what a claim needs and nobody gave, as a comment that shows its form."""
    lines = []
    for key, example in _BILLING.items():
        if given := getattr(answers, key):
            lines.append(f"  {key}: {quoted(given)}")
        elif f"billing_provider.{key}" in answers.needed:
            lines.append(f"  # {key}: {quoted(example)}")
    if answers.address:
        lines.append(f"  address: {answers.address.text()}")
    elif "billing_provider.address" in answers.needed:
        lines.append(f"  # address: {_ADDRESS}")
    return "".join(f"{line}\n" for line in lines)


def _server(answers: Answers) -> str:
    """The EMR's address; messages and files have none."""
    return f"  base_url: {quoted(answers.emr_url)}\n" if answers.emr_url else ""


def _environment(word: str) -> str:
    return f"  environment: {word}  # sandbox or production: a sandbox's made-up patients are never sent to production\n"


def _source_told(answers: Answers) -> str:
    options = {name: value for name, value in answers.options.items() if isinstance(value, str)}
    return source_environment(SourceSpec(connector="", base_url=answers.emr_url, options=dict(options))).environment


def _biller_told(answers: Answers) -> str:
    spec = DestinationSpec(platform="", base_url=answers.biller_url, options=answers.biller_options)
    return destination_environment(spec).environment


def _source_auth(answers: Answers) -> dict[str, str]:
    keys = {"method": answers.emr_auth, "token_url": answers.token_url, "client_id": answers.client_id}
    if answers.emr_auth == "private_key_jwt":
        return keys | {"private_key": answers.private_key, "algorithm": answers.algorithm}
    return keys | ({"secret": answers.emr_secret} if answers.emr_auth != "none" else {})


def _auth(answers: Answers, keys: dict[str, str]) -> str:
    if not answers.emr_url:
        return ""
    lines = ["  auth:", *(f"    {key}: {quoted(value)}" for key, value in keys.items() if value)]
    if answers.emr_auth.startswith(("private_key", "client_secret")) and answers.scopes:
        lines.append("    scopes:  # SMART v1 words; an EMR that wants v2 takes system/Encounter.rs")
        lines += [f"      - {quoted(scope)}" for scope in answers.scopes]
    return "\n".join(lines) + "\n"


def _options(options: dict[str, str | tuple[str, ...]]) -> str:
    if not options:
        return "  # options: {}  # what this connector can be told: ptbridge connector options\n"
    return "  options:\n" + "".join(f"    {quoted(key)}: {_value(value)}\n" for key, value in options.items())


def _value(value: str | tuple[str, ...]) -> str:
    return quoted(value) if isinstance(value, str) else f"[{', '.join(map(quoted, value))}]"


def _rate(requests_per_second: str) -> str:
    return f'  requests_per_second: "{requests_per_second}"\n' if requests_per_second else ""


def _place(answers: Answers) -> str:
    given = ({"profile": answers.profile} if answers.profile else {}) | answers.biller_options
    options = "".join(f"    {quoted(key)}: {quoted(value)}\n" for key, value in given.items())
    options = f"  options:\n{options}" if options else ""
    options += "".join(f"    # {key}:  # {text}\n" for key, text in answers.offered.items())
    if answers.biller_folder:
        return f"  folder: {quoted(answers.biller_folder)}\n{options}"
    lines = [f"  base_url: {quoted(answers.biller_url)}"]
    if answers.biller_url.startswith(("mllp://", "mllps://")):
        lines.append('  in_flight: "1"  # as many as the profile has connections')
    else:
        lines += ["  auth:", *(f"    {key}: {value}" for key, value in _biller_auth(answers).items())]
    return "\n".join(lines) + f"\n{options}"


def _biller_auth(answers: Answers) -> dict[str, str]:
    method = answers.biller_auth
    keys = {"method": quoted(method)}
    if method.startswith("client_secret"):
        named = {"token_url": answers.biller_token_url, "client_id": answers.biller_client_id}
        keys |= {key: quoted(value) for key, value in named.items() if value}
    if method.startswith("ssh"):
        keys |= {"user": quoted(answers.biller_user), "host_keys": f"[{quoted(answers.biller_host_key)}]"}
    if method == "ssh_key":
        return keys | {"private_key": quoted(answers.biller_key)}
    return keys if method == "none" else keys | {"secret": quoted(answers.biller_secret)}


def _payers(answers: Answers) -> str:
    """Each route as its own entry; without any, how to write one."""
    comment = """\
# Which policy counts the units of which payer: by the payer's id, or its name, exactly as the EMR gives it.
# A visit of a payer that is not here is held. Policies: medicare_part_b, commercial_midpoint …, or your own in payers/.
"""
    if not answers.payers:
        return comment + "# payers:\n#   - {policy: medicare_part_b, ids: [MCR-B], names: [Medicare Part B]}\n"
    return comment + "payers:\n" + "".join(_route(answers, payer, policy) for payer, policy in answers.payers)


def _route(answers: Answers, payer: str, policy: str) -> str:
    if policy != _THRESHOLD_POLICY:
        return f"  - {{policy: {quoted(policy)}, ids: [{quoted(payer)}]}}\n"
    return (
        f"  - policy: {quoted(policy)}\n    ids: [{quoted(payer)}]\n"
        f"    # allowed: {allowed_file(answers)}  # what Medicare allows for one unit; without it KX cannot be told\n"
    )


def mapping_file(answers: Answers) -> str:
    """The clinic's own words on top of the shipped mapping of its EMR."""
    return f"""\
# What this clinic's own words mean, on top of the shipped mapping of its EMR.
# After an edit, run: ptbridge mapping check mappings/{answers.clinic}.yaml
# A word that no table knows holds its visit, and the finding names the word and this file.

mapping: {quoted(answers.clinic)}
extends: {quoted(answers.mapping)}

# lookups:
#   services:
#     "https://emr.example/services|KT-TAPE": not-billable  # the EMR's code system and code: never billed
#     THEREX: "97110"                                       # the EMR's own word: that procedure code
"""
