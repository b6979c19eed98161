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
    "note_signature": "required or none",
    "referring_npi": "required or none",
    "bundled_codes": "comma-separated codes that this payer never pays apart",
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
}


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
