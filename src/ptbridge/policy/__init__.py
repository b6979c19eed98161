"""A payer's numbers, and the arithmetic that they name. Pure: opens files only in `load_codes`, `load_payers` and `load_fees`."""

from ptbridge.policy.codes import CodeTable, ProcedureCode, load_codes
from ptbridge.policy.facts import Facts
from ptbridge.policy.fees import FeeSchedule, load_fees
from ptbridge.policy.payers import Policy, Terms, load_payers, shipped_payers

__all__ = [
    "CodeTable",
    "Facts",
    "FeeSchedule",
    "Policy",
    "ProcedureCode",
    "Terms",
    "load_codes",
    "load_fees",
    "load_payers",
    "shipped_payers",
]
