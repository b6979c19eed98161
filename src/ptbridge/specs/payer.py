"""A payer policy file: numbers and choices by name, each with effective dates and its source.

    payer: medicare_part_b
    title: Original Medicare, Part B
    standing: complete            # or starting_point: to be checked against the contract
    settings:
      counting_rule:
        - {use: eight_minute_total, from: 2000-01-01, source: "CMS Pub. 100-04, ch. 5, section 20.2"}

A setting without an entry for the service date is *unset*: what needs it holds, and says which question to ask.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import msgspec

SETTINGS = {
    "counting_rule": "eight_minute_total or midpoint_each_code: how timed minutes become units",
    "discipline_modifier": "required, accepted or none: GP/GO/GN on therapy lines",
    "assistant_modifier": "cq_co or none: CQ/CO on units furnished by an assistant",
    "assistant_method": "percentage or simple: which of the two official 10 % computations",
    "modifier_order": "comma-separated classes in order: payment, discipline, information",
    "place_of_service": "comma-separated allowed codes",
    "timely_filing_days": "days from the service date until a claim is too late",
    "timely_filing_months": "the same in calendar months, where the rule is one of months (Medicare: 12)",
    "plan_of_care": "hold, warn or none: a day without a plan of care",
    "certification": "hold, warn or none: a plan that is not certified in time, or whose certification is over",
    "progress_report": "hold, warn or none: more treatment days than progress_report_days without a progress report",
    "progress_report_days": "treatment days after which a progress report is due",
    "progress_report_counts_evaluation": "yes or no: whether the evaluation's day is the first of them",
    "note_cosignature": "required or none: on the note of a visit that an assistant treated",
    "late_signature_days": "days after the service date from which a signature counts as late",
    "referral": "required or none: a dated referral or order on the visit",
    "supervising_npi": "required or none: on a visit that an assistant treated",
    "authorization": "required or none: an authorization number on the visit",
    "visit_limits": "comma-separated pools of a plan year, with disciplines and visits: therapy PT OT 60, speech SLP 30 soft",
    "covered_diagnoses": "comma-separated codes, each with the beginnings of its covered diagnoses: G0283 M17 M25.5;"
    " or a list beside this file: file lists/a57067.csv",
    "x_modifiers": "accepted or rejected: XE, XP, XS, XU in the place of 59",
    "accident_kind": "employment, auto or none: which accident every claim to this payer is about",
    "note_signature": "required or none",
    "referring_npi": "required or none",
    "bundled_codes": "comma-separated codes that this payer never pays apart",
    "kx": "propose, auto or none: KX above Medicare's therapy threshold; propose holds the day until a person confirms",
    "kx_amount_unknown": "hold or warn: a day in a year whose threshold is not known",
    "pair_modifier": "propose, auto or none: 59 or X{EPSU} where a pair allows it and separate minutes are documented",
    "pair_modifier_word": "59, XE, XP, XS or XU: which of them this payer is sent",
    "pair_modifier_on": "column_2 or column_1: which code of the pair carries it",
    "code_pairs": "medicare, medicaid or none: whose NCCI pair file this payer applies",
    "own_pairs": "comma-separated pairs of this payer's own table, each column 1, column 2, indicator: 97140 97530 1",
    "abn_modifiers": "propose, auto or none: GA, GX, GY, GZ on the codes of the next two settings (GZ is never automatic)",
    "statutory_codes": "comma-separated codes that the law excludes from the benefits: GY, with GX where an ABN is on file",
    "denial_expected_codes": "comma-separated codes expected to be denied as not necessary: GA with an ABN on file, GZ without",
    "telehealth_video": "95, GT or none: the modifier of a visit by video",
    "telehealth_audio": "93 or none: the modifier of a visit by audio only",
    "exclude_visits": "of cash, maintenance, no-charge, those visits that are left out; the others hold for a person",
    "invalid_codes": "comma-separated codes that this payer does not take, each with what to do: 97014 report G0283 instead",
}

# The settings that choose from a closed list of names.
CHOICES = {
    "counting_rule": ("eight_minute_total", "midpoint_each_code"),
    "discipline_modifier": ("required", "accepted", "none"),
    "assistant_modifier": ("cq_co", "none"),
    "assistant_method": ("percentage", "simple"),
    "note_signature": ("required", "none"),
    "referring_npi": ("required", "none"),
    "plan_of_care": ("hold", "warn", "none"),
    "certification": ("hold", "warn", "none"),
    "progress_report": ("hold", "warn", "none"),
    "progress_report_counts_evaluation": ("yes", "no"),
    "note_cosignature": ("required", "none"),
    "referral": ("required", "none"),
    "supervising_npi": ("required", "none"),
    "authorization": ("required", "none"),
    "x_modifiers": ("accepted", "rejected"),
    "accident_kind": ("employment", "auto", "none"),
    "kx": ("propose", "auto", "none"),
    "kx_amount_unknown": ("hold", "warn"),
    "code_pairs": ("medicare", "medicaid", "none"),
    "pair_modifier": ("propose", "auto", "none"),
    "pair_modifier_word": ("59", "XE", "XP", "XS", "XU"),
    "pair_modifier_on": ("column_2", "column_1"),
    "abn_modifiers": ("propose", "auto", "none"),
    "telehealth_video": ("95", "GT", "none"),
    "telehealth_audio": ("93", "none"),
}


KEPT_FROM_PAYERS = ("cash", "maintenance", "no-charge")  # what a source can say of a visit: `Visit.billing`


class SettingEntry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True, rename={"from_": "from"}):
    """One choice with its dates (first and last service date, both inclusive) and where it is written."""

    use: str
    from_: datetime.date
    to: datetime.date | None = None
    source: str


class PayerExample(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """An executed example: `97110=24 97140=23` on a date gives `97110 x2, 97140 x1`."""

    given: str
    gives: str
    on: datetime.date | None = None
    why: str = ""


class PayerSpec(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """A payer policy file as written."""

    payer: str
    title: str
    standing: str
    settings: dict[str, tuple[SettingEntry, ...]]
    extends: str | None = None
    examples: tuple[PayerExample, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting on one date: its value and its source."""

    use: str
    source: str
