"""The form of an ICD-10-CM code: what can be said without any list."""

from __future__ import annotations

import re
from functools import lru_cache

# A letter, a digit (or A: QA0..), a letter or digit, then up to four more after a dot; X only fills the fourth to sixth.
_FORM = re.compile(r"[A-Z][0-9A][0-9A-Z](?:\.?[0-9A-Z]{1,4})?")


@lru_cache(maxsize=4096)
def well_formed(code: str) -> bool:
    """True for `M54.50`, `S83.511A` and the same without the dot; False for anything that cannot be a code."""
    return _FORM.fullmatch(code) is not None
