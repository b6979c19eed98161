"""A treatment day as one professional claim in Claim.MD's JSON, and the names under which it is found again.

Field names are those of Claim.MD's professional JSON example (`claim_form` 1500). Every value is text. Three names tie an
answer to what was sent:

    remote_claimid   <reference>-<frequency><7 hex of the claim's content>   which revision of which day
    pcn              PT and the first 15 hex digits of the reference, 17 characters: X12 allows 20, and basic ones only
    remote_chgid     <9 characters of the pcn>-<place of the line>: 12 characters at most
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import orjson

from ptbridge.destinations._claim_facts import Gathered, Zip, missing, people_lack, person_name, whole_address
from ptbridge.destinations._document import Document, present
from ptbridge.model import Charge, Finding, Frequency, Patient, Provider, Subscriber
from ptbridge.model.money import decimal_text

_SEX = {"male": "M", "female": "F", "unknown": "U", "other": "U"}  # X12 element 1068
_EIN, _SSN = re.compile(r"\d\d-\d{7}"), re.compile(r"\d{3}-\d\d-\d{4}")
_ACCIDENTS = {"employment": "employment_related", "auto": "auto_accident", "other": "other_accident"}
_REMOTE = re.compile(r"(?P<reference>.+)-(?P<frequency>[178])(?P<content>[0-9a-f]{7})")
_PCN = re.compile(r"PT(?P<hex>[0-9A-F]{15})")
_LINE = re.compile(r"[^-]{1,9}-(?P<line>[1-9]\d?)")
_FILE = re.compile(r"(?P<remote>.+)\.(?P<lines>\d+)x(?P<units>\d+)\.json")


def control_number(reference: str) -> str:
    """The patient control number of a day's claims."""
    return reference.replace("-", "").upper()[:17]


def reference_of_control(pcn: str) -> str | None:
    """The first 18 characters of the reference that a control number was made from; None for any other number."""
    match = _PCN.fullmatch(pcn.strip().upper())
    return f"pt-{match['hex'].lower()}" if match else None


def line_of(remote_chgid: object) -> int | None:
    """The place of a line of ours, from 1."""
    match = _LINE.fullmatch(remote_chgid) if isinstance(remote_chgid, str) else None
    return int(match["line"]) if match else None


def read_remote_id(remote_claimid: object) -> tuple[str, str] | None:
    """(reference, frequency) of a claim of ours; None for any other."""
    match = _REMOTE.fullmatch(remote_claimid) if isinstance(remote_claimid, str) else None
    return (match["reference"], match["frequency"]) if match else None


def file_name(body: bytes) -> str:
    """What the upload is called: the response feed gives it back, so it carries what the feed does not tell otherwise."""
    claim = orjson.loads(body)["claim"][0]
    units = sum(int(line["units"]) for line in claim["charge"])
    return f"{claim['remote_claimid']}.{len(claim['charge'])}x{units}.json"


def units_of_file(name: object) -> int | None:
    """The units of the claim that was uploaded under this name; None for a file that is not ours."""
    match = _FILE.fullmatch(name) if isinstance(name, str) else None
    return int(match["units"]) if match else None


def claim_md_lacks(facts: Gathered, options: Mapping[str, str]) -> list[Finding]:
    """What Claim.MD's claim needs beside what every claim needs."""
    found = []
    tax_id = facts.billing.tax_id or ""
    if tax_id and not (_EIN.fullmatch(tax_id) or _SSN.fullmatch(tax_id)):
        advice = "Write it as 12-3456789 (EIN) or 123-45-6789 (SSN): the claim says which it is."
        found.append(missing("the tax id's kind", advice, "billing_provider.tax_id"))
    if not facts.billing.phone:
        found.append(missing("the billing provider's phone", "Add it to the clinic file.", "billing_provider.phone"))
    found += people_lack(facts, _SEX)
    accident = facts.accident
    if accident is not None:
        if accident.kind not in _ACCIDENTS:
            found.append(missing("an accident of employment, auto or other", "Mend the mapping.", "accident.kind"))
        for known, option in ((accident.on, "accident_date_field"), (accident.claim_number, "accident_claim_field")):
            if known and option not in options:
                advice = f"Ask Claim.MD for its JSON field and name it as option `{option}`."
                found.append(missing("a field for what is known of the accident", advice, f"destination.options.{option}"))
    return found


def claim_document(
    facts: Gathered, options: Mapping[str, str], *, reference: str, frequency: str, original_id: str | None
) -> Document:
    """The upload of one claim. Facts that are not known are left out; the lacks have passed."""
    claim = present(
        {
            "claim_form": "1500",
            "payer_order": "Primary",
            "frequency_code": None if frequency == Frequency.ORIGINAL else frequency,
            "icn_dcn_1": original_id,
            "pcn": control_number(reference),
            **_payer(facts),
            **_insured("ins", facts.subscriber),
            **_insured("pat", facts.patient),
            **_billing(facts),
            **_person("prov", facts.rendering, taxonomy=True),
            **_person("ref", facts.referring),
            **_person("supv_prov", facts.supervising),
            **_accident(facts, options),
            "accept_assign": "Y" if facts.claims.accepts_assignment == "A" else "N",
            "info_release": facts.claims.release_of_information,
            "prior_auth": facts.authorization,
            **{f"diag_{place}": code.replace(".", "") for place, code in enumerate(facts.diagnoses, start=1)},
            "total_charge": decimal_text(facts.priced.amount_cents),
            "charge": [_line(facts, charge, reference, place) for place, charge in enumerate(facts.priced.charges, start=1)],
        }
    )
    return _named(claim, reference, frequency)


def void_document(live: Document, *, reference: str, original_id: str | None) -> Document:
    """The claim that was accepted, whole, with frequency 8: X12 wants a void to repeat what it takes back."""
    was = live["claim"][0]
    claim = {name: value for name, value in was.items() if name not in ("remote_claimid", "frequency_code", "icn_dcn_1")}
    return _named({**claim, **present({"frequency_code": "8", "icn_dcn_1": original_id})}, reference, "8")


def _named(claim: Document, reference: str, frequency: str) -> Document:
    """With the name of this revision, made from its content: another content is another name, the same is the same."""
    content = hashlib.sha256(orjson.dumps(claim)).hexdigest()[:7]
    remote_id = f"{reference}-{frequency}{content}"
    return {"fileid": remote_id, "claim": [{"remote_claimid": remote_id, **claim}]}


# ---------------------------------------------------------------- parts


def _payer(facts: Gathered) -> Document:
    payer, coverage = facts.payer, facts.coverage
    assert payer is not None and coverage is not None
    return {
        "payerid": payer.id,
        "payer_name": payer.name,
        "ins_number": coverage.member_id,
        "ins_group": coverage.group_number,
        "pat_rel": facts.relationship_code,
    }


def _insured(who: str, person: Patient | Subscriber) -> Document:
    """A subscriber's birth date, sex and address where they are known, an address only when whole; `lacks` demands a
    patient's."""
    address = whole_address(person.address)
    street = address.lines if address else ()
    facts_of_person = {
        "name_f": person.given,
        "name_l": person.family,
        "dob": person.birth_date.isoformat() if person.birth_date else None,
        "sex": _SEX[person.sex] if person.sex else None,
        "addr_1": street[0] if street else None,
        "addr_2": ", ".join(street[1:]) or None,
        "city": address.city if address else None,
        "state": address.state if address else None,
        "zip": Zip.known(address.postal_code).digits if address else None,
    }
    return {f"{who}_{name}": value for name, value in facts_of_person.items()}


def _billing(facts: Gathered) -> Document:
    billing = facts.billing
    address, tax_id = billing.address, billing.tax_id or ""
    assert address is not None
    return {
        "bill_name": billing.name,
        "bill_npi": facts.day.billing_npi,
        "bill_taxid": tax_id.replace("-", ""),
        "bill_taxid_type": "S" if _SSN.fullmatch(tax_id) else "E",
        "bill_taxonomy": billing.taxonomy,
        "bill_phone": billing.phone,
        "bill_addr_1": address.lines[0],
        "bill_addr_2": ", ".join(address.lines[1:]) or None,
        "bill_city": address.city,
        "bill_state": address.state,
        "bill_zip": Zip.known(address.postal_code).digits,
    }


def _person(prefix: str, person: Provider | None, *, taxonomy: bool = False) -> Document:
    """A clinician by name and NPI; one without an NPI is left out, as a claim names nobody without."""
    name = person_name(person)
    if person is None or name is None or not person.npi:
        return {}
    more = {f"{prefix}_taxonomy": person.taxonomy} if taxonomy else {}
    return {f"{prefix}_name_f": name[0], f"{prefix}_name_l": name[1], f"{prefix}_npi": person.npi, **more}


def _accident(facts: Gathered, options: Mapping[str, str]) -> Document:
    accident = facts.accident
    if accident is None:
        return {}
    said: Document = {_ACCIDENTS[accident.kind]: "Y"}
    if accident.kind == "auto":
        said["auto_accident_state"] = accident.state
    if accident.on:
        said[options["accident_date_field"]] = accident.on.isoformat()
    if accident.claim_number:
        said[options["accident_claim_field"]] = accident.claim_number
    return said


def _line(facts: Gathered, charge: Charge, reference: str, place: int) -> Document:
    line, day = charge.line, facts.service_date.isoformat()
    assert charge.amount_cents is not None
    own = facts.of_line(charge, lambda visit: visit.authorization_number) if facts.authorization is None else None
    return {
        "remote_chgid": f"{control_number(reference)[:9]}-{place}",
        "charge_record_type": "UN",
        "proc_code": line.procedure,
        **{f"mod{number}": modifier for number, modifier in enumerate(line.modifiers, start=1)},
        "units": str(line.units),
        "charge": decimal_text(charge.amount_cents),
        "from_date": day,
        "thru_date": day,
        "place_of_service": facts.place_of_service,
        "diag_ref": "".join(chr(ord("A") + pointer - 1) for pointer in line.diagnosis_pointers),
        "chg_prior_auth": own,
    }
