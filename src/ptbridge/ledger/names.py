"""Which of our references a platform means that keeps only the beginning of one."""

from __future__ import annotations

import apsw

WHOLE_REFERENCE = 27  # characters of `pt-` and what ours keep of the digest
SHORTEST_REFERENCE = 10  # characters of `pt-` and the digest: a platform that allows fewer cannot name a day

# What follows the beginning is hexadecimal: below "g". `+clinic`: by the reference, not through all that the clinic has.
_BEGIN_SO = """
SELECT reference FROM treatment_day WHERE reference >= ?2 AND reference < ?2 || 'g' AND +clinic = ?1
UNION SELECT reference FROM submission WHERE reference >= ?2 AND reference < ?2 || 'g' AND +clinic = ?1 LIMIT 2
"""


class Names:
    """Every reference that the ledger knows: of its treatment days, and of what was ever made of them. Reads only."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def whole(self, clinic: str, name: str) -> str:
        """The one reference of the clinic that is this name or begins with it; the name itself where none does, or several."""
        if not name.startswith("pt-") or len(name) < SHORTEST_REFERENCE:
            return name
        known = [str(reference) for (reference,) in self._connection.execute(_BEGIN_SO, (clinic, name))]
        return known.pop() if len(known) == 1 else name

    def all_whole(self, clinic: str, theirs: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        """What a biller has, name -> (units, cents), by whole references: the sums, where two of its names are one of ours.

        In place: the list of a large run is in memory once, and only what is short is looked up.
        """
        for name in [name for name in theirs if len(name) < WHOLE_REFERENCE]:
            whole = self.whole(clinic, name)
            if whole != name:
                units, cents = theirs.pop(name)
                before = theirs.get(whole, (0, 0))
                theirs[whole] = before[0] + units, before[1] + cents
        return theirs


def range_of(reference: str | None) -> tuple[str, str]:
    """The references that a given one can stand for, as a range: itself, or those that start with it where it was cut."""
    if not reference:
        return "", ""
    if len(reference) >= WHOLE_REFERENCE:
        return reference, reference + "\x00"
    whole = reference.lower()
    if not whole.startswith("pt-"):
        whole = f"pt-{whole}"
    return (whole, whole + "g") if len(whole) >= SHORTEST_REFERENCE else ("", "")  # the rest is hexadecimal: below "g"
