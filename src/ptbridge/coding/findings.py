"""The findings that coding and pricing raise: what each means, what to do, where the rule stands. One list, no strays."""

from __future__ import annotations

from dataclasses import dataclass

from ptbridge.model import Finding, Severity


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding. `fix` is the advice that every finding of this kind carries."""

    code: str
    severity: Severity
    meaning: str
    fix: str
    source: str = ""

    def __call__(
        self, message: str, *, at: tuple[str, str] | None = None, where: str = "", severity: Severity | None = None
    ) -> Finding:
        """A finding of this kind; `at` is (visit id, line key). Messages hold codes, minutes and units, never patient data."""
        return Finding(
            code=self.code,
            severity=severity or self.severity,
            message=message,
            fix=self.fix,
            visit_id=at[0] if at else None,
            line_key=at[1] if at else None,
            where=where,
        )


KINDS: dict[str, Kind] = {}


def _kind(code: str, severity: Severity, meaning: str, fix: str, source: str = "") -> Kind:
    KINDS[code] = kind = Kind(code, severity, meaning, fix, source)
    return kind


PAYER_UNKNOWN = _kind(
    "CV01",
    Severity.ERROR,
    "the payer policy of the day could not be told, so no rule can be chosen",
    "Record the primary coverage in the EMR, or name its payer id under `payers` in the clinic file.",
)
CODE_NOT_TAKEN = _kind(
    "CV10",
    Severity.ERROR,
    "the payer does not take this procedure code",
    "Correct the code in the EMR; ptbridge never swaps a code by itself.",
    "the payer policy's invalid_codes",
)
CODE_UNKNOWN = _kind(
    "MP20",
    Severity.ERROR,
    "the documented line has no procedure code, or one that the code table does not know",
    "Correct the code in the EMR, map the EMR's word to a code, or add the code to the code table with its source.",
)
RULE_UNSET = _kind(
    "UN10",
    Severity.ERROR,
    "the payer policy states no counting rule for the service date",
    "Ask the payer: on the minutes of the whole day (CMS 8-minute rule) or of each code alone (CPT midpoint)? Then set"
    " counting_rule to eight_minute_total or midpoint_each_code, with its source and date.",
    "CMS Pub. 100-04, ch. 5, section 20.2 binds Medicare Part B only",
)
MINUTES_MISSING = _kind(
    "UN11",
    Severity.ERROR,
    "a timed code without usable minutes: its units cannot be counted",
    "Record the minutes of the code in the note.",
    "CMS Pub. 100-02, ch. 15, section 220.3.E",
)
UNITS_DIFFER = _kind(
    "UN12",
    Severity.ERROR,
    "the EMR's units are not among those that the documented minutes allow (error: too many; warning: too few)",
    "Correct the units or the minutes in the EMR.",
    "CMS Pub. 100-04, ch. 5, section 20.2",
)
ADD_ON_ALONE = _kind(
    "UN13",
    Severity.ERROR,
    "an add-on code is documented without its first code",
    "Document the first code, or correct the code.",
    "code structure: add-on codes are never paid alone",
)
QUANTITY_MISSING = _kind(
    "UN14",
    Severity.ERROR,
    "a code that counts something other than minutes has no documented units",
    "Record the units in the EMR.",
)
ASSISTANT_GAP = _kind(
    "MD10",
    Severity.WARNING,
    "no published rule says which units of this code carry the assistant modifier",
    "Check the split of units with and without the assistant modifier.",
    "CY2022 PFS final rule, 86 FR 65169, leaves the case open",
)
ASSISTANT_UNKNOWN = _kind(
    "MD11",
    Severity.ERROR,
    "an assistant took part, and it is not documented who furnished which minutes of this code",
    "Record the therapist's and the assistant's minutes of the code.",
    "42 CFR 410.59, 410.60",
)
MODIFIER_UNSET = _kind(
    "MD12",
    Severity.ERROR,
    "the payer policy does not say whether or how a modifier is reported",
    "Ask the payer, then write the setting into the payer policy with its source and date.",
)
DISCIPLINE_UNKNOWN = _kind(
    "MD13",
    Severity.ERROR,
    "the payer wants GP, GO or GN and the discipline is not known",
    "Record the discipline of the visit, or map it.",
    "CMS Pub. 100-04, ch. 5, section 20.1; CR 10176",
)
ASSISTANT_CONTRADICTED = _kind(
    "MD14",
    Severity.WARNING,
    "the EMR put the assistant modifier on a code whose minutes give no unit to the assistant; it was kept",
    "Check who furnished the minutes; without the modifier Medicare pays the full amount.",
    "42 CFR 410.59, 410.60",
)
KX_NEEDED = _kind(
    "KX10",
    Severity.ERROR,
    "the year's therapy threshold is passed and the lines carry no KX",
    "KX attests that the services are necessary and documented. If so: `ptbridge release ID --add KX --reason TEXT`.",
    "SSA 1833(g); CMS Pub. 100-04, ch. 5, section 10.3",
)
KX_NOT_TOLD = _kind(
    "KX11",
    Severity.INFORMATION,
    "whether KX is needed cannot be told",
    "Name a schedule of allowed amounts as `allowed` on the payer's route in the clinic file; see docs/modifiers.md.",
    "CMS Pub. 100-04, ch. 5, section 10.3: the threshold counts allowed amounts",
)
KX_AMOUNT_UNKNOWN = _kind(
    "KX12",
    Severity.WARNING,
    "the therapy threshold of the year is not known",
    "Load the year's amount with `ptbridge reference load` once CMS has published it.",
    "the physician fee schedule final rule of the year",
)
PAIR_MODIFIER = _kind(
    "MD20",
    Severity.ERROR,
    "a pair of codes is paid together with a modifier, and separate minutes are documented",
    "If the services were separate, confirm: `ptbridge release ID --add 59 --reason TEXT` (or XE, XP, XS, XU).",
    "CMS NCCI Policy Manual, ch. 1, section E",
)
ABN_MODIFIER = _kind(
    "MD21",
    Severity.ERROR,
    "the payer's file lists the code as excluded or as an expected denial",
    "Confirm with `ptbridge release ID --add GA --reason TEXT` (or the modifier named), or exclude the day.",
    "CMS Pub. 100-04, ch. 30",
)
TELEHEALTH_MIXED = _kind(
    "MD22",
    Severity.ERROR,
    "a code was furnished partly by telehealth and partly in person, and one line cannot say so",
    "Write the modifier into the EMR, or correct the visits.",
)
KX_CONTRADICTED = _kind(
    "MD23",
    Severity.ERROR,
    "KX attests that a service is necessary where a denial as not necessary is expected",
    "Take KX off in the EMR, or correct denial_expected_codes in the payer's file.",
    "NGS: no KX on a line with GA",
)
ABN_UNUSED = _kind(
    "MD24",
    Severity.INFORMATION,
    "an ABN is on file and nothing of the day is marked with it",
    "If a denial is expected, put GA on the line in the EMR, or list the code under denial_expected_codes.",
    "CMS Pub. 100-04, ch. 30",
)
OWN_PAIR = _kind(
    "NC20",
    Severity.ERROR,
    "a pair of the payer's own table is billed together",
    "Bill one of the two, or document separate times where the pair allows a modifier.",
    "the payer policy's own_pairs",
)
PROPOSALS: dict[str, frozenset[str]] = {
    KX_NEEDED.code: frozenset({"KX"}),
    PAIR_MODIFIER.code: frozenset({"59", "XE", "XP", "XS", "XU"}),
    ABN_MODIFIER.code: frozenset({"GA", "GX", "GY", "GZ"}),
}
"""The findings that propose a modifier, and which words a person may confirm with `ptbridge release --add`."""
PRICE_MISSING = _kind(
    "PX01",
    Severity.ERROR,
    "the fee schedule has no price for the code on the service date",
    "Add the price to the fee schedule with its first date.",
)
