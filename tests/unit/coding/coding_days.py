"""Treatment days for the coding tests, written in few words."""

from datetime import date

from ptbridge.coding import code
from ptbridge.model import Diagnosis, Discipline, Intervention, Patient, TreatmentDay, Visit, VisitStatus
from ptbridge.policy import Policy, load_codes, shipped_payers
from ptbridge.specs.payer import SettingEntry

ON = date(2026, 11, 20)
CODES = load_codes()
SHIPPED = shipped_payers()
MEDICARE = SHIPPED["medicare_part_b"]
MIDPOINT = SHIPPED["commercial_midpoint"]


def line(text, **fields):
    """`97110 @24 x2`: code, documented minutes, the EMR's units."""
    name, *rest = text.split()
    for word in rest:
        fields.setdefault("minutes" if word[0] == "@" else "units_documented", int(word[1:]))
    return Intervention(line_key=fields.pop("line_key", ""), documented=name, code=name, **fields)


def visit(*lines, visit_id="v1", **fields):
    numbered = [
        Intervention(**{field: getattr(one, field) for field in one.__slots__} | {"line_key": one.line_key or str(place)})
        for place, one in enumerate((line(text) if isinstance(text, str) else text for text in lines), 1)
    ]
    facts = {"status": VisitStatus.FINISHED, "service_date": ON, "patient": Patient(id="secret-patient"), **fields}
    facts.setdefault("diagnoses", (Diagnosis(code="M54.50", rank=1),))
    return Visit(clinic="c", source="s", visit_id=visit_id, interventions=tuple(numbered), **facts)


def day(*visits, discipline=Discipline.PT, on=ON):
    return TreatmentDay(
        clinic="c", key="k", patient_id="secret-patient", discipline=discipline, service_date=on, billing_npi="1", visits=visits
    )


def coded(*lines, policy=MEDICARE, discipline=Discipline.PT, method=None, **fields):
    return code(day(visit(*lines, **fields), discipline=discipline), policy=policy, codes=CODES, assistant_method=method)


def shown(found):
    return [str(one) for one in found.lines]


def raised(found):
    return [f"{finding.code} {finding.severity.value}" for finding in found.findings]


def payer(**settings):
    """A policy with these settings since 2000 and no other."""
    entries = {name: (SettingEntry(use=use, from_=date(2000, 1, 1), source="test"),) for name, use in settings.items()}
    return Policy(name="p", title="P", standing="starting_point", settings=entries)
