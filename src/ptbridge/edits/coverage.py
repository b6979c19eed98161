"""Whether a day is billed to a payer at all: what the coverage edits ask first."""

from __future__ import annotations

from ptbridge.policy.facts import Facts

SELF_PAY = "self_pay"  # the one shipped policy without a payer behind it


def bills_a_payer(facts: Facts) -> bool:
    """False on a self-pay day, where the patient is billed and no coverage is needed."""
    return facts.policy is None or facts.policy.name != SELF_PAY
