"""A payer's numbers, and the arithmetic that they name. Pure, apart from the `load_` functions."""

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
