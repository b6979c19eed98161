"""The last day on which a payer takes a claim."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta

from ptbridge.policy.payers import Terms


def last_day_to_file(terms: Terms, on: date) -> date | None:
    """The earlier of the payer's limits in days and in months, both counted from the service date; None without any.

    A limit in months ends on the same day of the month, or on the last of a shorter one: twelve months from February 29 end
    on February 28 (CMS Pub. 100-04, ch. 1, section 70). A payer that adds a day when that is a Sunday is not known here.
    """
    limits = []
    if terms.timely_filing_days is not None:
        limits.append(on + timedelta(days=terms.timely_filing_days))
    if terms.timely_filing_months is not None:
        limits.append(months_later(on, terms.timely_filing_months))
    return min(limits, default=None)


def months_later(on: date, months: int) -> date:
    """The same day of the month that many months later, or the last day of a shorter month."""
    years, month = divmod(on.month - 1 + months, 12)
    return date(on.year + years, month + 1, min(on.day, monthrange(on.year + years, month + 1)[1]))
