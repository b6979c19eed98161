"""Every MP code: what the mapping could not read or resolve, in one place with its meaning and what to do."""

from __future__ import annotations

from typing import NamedTuple

from ptbridge.model import Finding, Severity


class Meaning(NamedTuple):
    """What a code finds, how grave it is unless the field says otherwise, and the fix."""

    title: str
    severity: Severity
    fix: str


_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFORMATION

MEANINGS: dict[str, Meaning] = {
    "MP01": Meaning(
        "the documented service has no entry in the mapping", _E, "Add the word to the look-up table that is named."
    ),
    "MP02": Meaning("a required field is absent", _E, "Complete the record in the EMR, or name another path in the mapping."),
    "MP03": Meaning("a value cannot be read", _E, "Correct the value in the EMR, or the path or unit in the mapping."),
    "MP04": Meaning(
        "a reference leads nowhere", _W, "Give the EMR client access to the resource that it names, or correct it there."
    ),
    "MP05": Meaning(
        "the primary coverage cannot be told", _E, "Give the coverages an order in the EMR, or end the one that is over."
    ),
    "MP06": Meaning(
        "the patient record was merged into another", _E, "Bill under the surviving record: move the visit to it in the EMR."
    ),
    "MP07": Meaning(
        "the same period stands on every line or equals the visit's slot, so it says nothing of minutes",
        _W,
        "Document minutes for each service. The lines are treated as having none.",
    ),
    "MP08": Meaning("a word has no entry in its look-up table", _E, "Add the word to the table that is named."),
    "MP09": Meaning("a line names another visit or another patient", _E, "Correct the link in the EMR."),
    "MP10": Meaning(
        "a therapist and an assistant both stand on a line, and its minutes are not split", _E, "Document the minutes of each."
    ),
    "MP11": Meaning("documented services are missing among the charge items", _E, "Charge or void them in the EMR."),
    "MP12": Meaning("the mapping leaves this service to a coder", _E, "Document the exact service, or map it."),
    "MP13": Meaning("a fraction of a minute was dropped", _I, "Nothing to do: only whole minutes count."),
    "MP14": Meaning("a coverage is not in force on the service date", _I, "Nothing to do unless its dates are wrong."),
    "MP15": Meaning("the mapping says that this service is not billable", _I, "Nothing to do unless the entry is wrong."),
    "MP16": Meaning("several clinicians stand in one role", _E, "Name one in the EMR."),
    "MP17": Meaning("therapist and assistant minutes do not add up", _E, "Correct the minutes in the EMR."),
    "MP18": Meaning(
        "two lines have the same key", _E, "Correct the record in the EMR, or the path of line_key in the mapping."
    ),
    "MP19": Meaning(
        "a path of the mapping does not suit this record", _E, "Correct the path, or ask for help with this record."
    ),
    "MP21": Meaning("a line names several procedure codes", _E, "Keep one code per line in the EMR."),
    "MP22": Meaning("the rows of one visit disagree", _E, "Correct the rows at their source and export the visit again."),
    # HL7 v2
    "MP30": Meaning("a credit takes back no known charge", _E, "Ask the sender which charge it means, or exclude the visit."),
    "MP31": Meaning(
        "a charge came after the visit was cancelled", _E, "Ask the clinic whether the visit took place; correct it there."
    ),
    "MP32": Meaning(
        "two messages charge one service differently, and nothing says whether the second corrects the first",
        _E,
        "Ask the sender for a transaction id of its own on each charge (FT1-2), or set source.options.charges to snapshot.",
    ),
    "MP33": Meaning(
        "an earlier charge message of the visit could not be read",
        _E,
        "Check that the later messages hold all charges of the visit, then release it.",
    ),
    "MP34": Meaning(
        "the charges came before their ADT message", _E, "Ask the sender for the ADT; it releases them when it comes."
    ),
    "MP35": Meaning(
        "the charges of one visit number are of several service dates",
        _E,
        "Set source.options.visit_by to visit-day if a number spans many visits here; else have the dates corrected.",
    ),
    "MP36": Meaning(
        "the visit was moved to another number, account or patient",
        _E,
        "Check under which number it bills, then exclude the other.",
    ),
    "MP38": Meaning(
        "the sender deleted the patient's record, or took it off another's, after the visit's last message",
        _E,
        "Ask the clinic whose visit it is. It goes on when the sender sends the visit or the patient again; else exclude it.",
    ),
    "MP37": Meaning(
        "the charges of one visit are of several disciplines", _E, "Have them charged as a visit for each discipline."
    ),
}


def finding(
    code: str,
    message: str,
    *,
    visit_id: str | None = None,
    line_key: str | None = None,
    where: str = "",
    severity: Severity | None = None,
    fix: str = "",
) -> Finding:
    """A Finding of a known MP code, with that code's severity and fix unless stated."""
    meaning = MEANINGS[code]
    return Finding(
        code=code,
        severity=severity or meaning.severity,
        message=message,
        fix=fix or meaning.fix,
        visit_id=visit_id,
        line_key=line_key,
        where=where,
    )
