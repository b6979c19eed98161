"""CMS's reference files: loaded from the official downloads, looked up by code and service date, with the source.

`Reference.open(config.folder / "reference")` is what the edits get as `facts.reference`. The files come in through `load`
(`ptbridge reference load`); `coverage` says what is there. Without a loaded file the small shipped tables answer, and say so.
"""

from ptbridge.policy.reference.coverage import Coverage, coverage
from ptbridge.policy.reference.index import Entry
from ptbridge.policy.reference.kinds import KINDS, Kind, Period, calendar_year, quarter
from ptbridge.policy.reference.load import PARTS, LoadReport, damaged, load
from ptbridge.policy.reference.lookup import Reference, reference_of
from ptbridge.policy.reference.shipped import SHIPPED
from ptbridge.policy.reference.thresholds import Threshold
from ptbridge.policy.reference.values import AddOn, Mue, PairEdit, Rvu, TherapyDisposition

__all__ = [
    "KINDS",
    "PARTS",
    "SHIPPED",
    "AddOn",
    "Coverage",
    "Entry",
    "Kind",
    "LoadReport",
    "Mue",
    "PairEdit",
    "Period",
    "Reference",
    "Rvu",
    "TherapyDisposition",
    "Threshold",
    "calendar_year",
    "coverage",
    "damaged",
    "load",
    "quarter",
    "reference_of",
]
