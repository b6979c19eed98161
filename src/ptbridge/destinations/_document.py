"""Documents as platforms take and give them: JSON in which what is not known is left out."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def present(value: Any) -> Any:
    """Without what is None, at any depth."""
    if isinstance(value, dict):
        return {name: present(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [present(item) for item in value if item is not None]
    return value
