"""Where every documented line ends: the closed list of fates."""

from __future__ import annotations

from enum import StrEnum


class Fate(StrEnum):
    """Exactly one for each pulled visit and each documented line.

    `QUEUED` is the one fate that is not an end: decided and stored, not yet answered (the biller was away, or the answer
    was lost and is looked up). It is shown with its age until it becomes `SENT` or `HELD`.
    """

    QUARANTINED = "quarantined"
    HELD = "held"
    EXCLUDED = "excluded"
    SENT = "sent"
    UNCHANGED = "unchanged"
    QUEUED = "queued"
