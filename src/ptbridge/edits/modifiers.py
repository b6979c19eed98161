"""The modifiers that the modifier edits speak of, by what they say."""

from __future__ import annotations

from ptbridge.model import Discipline

DISCIPLINE_OF = {"GP": Discipline.PT, "GO": Discipline.OT, "GN": Discipline.SLP}
"""Under a PT, OT or SLP plan of care (CMS Pub. 100-04, ch. 5, section 20.1)."""

MODIFIER_OF = {discipline: modifier for modifier, discipline in DISCIPLINE_OF.items()}

ASSISTANT_PAIR = {"CQ": "GP", "CO": "GO"}
"""An assistant's modifier and the discipline modifier that it goes with (42 CFR 410.59, 410.60). SLP has none."""

SEPARATE = frozenset({"59", "XE", "XP", "XS", "XU"})
"""A separate service that a code pair edit would otherwise bundle."""
