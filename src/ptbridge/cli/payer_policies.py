"""The payer policies as a run sees them: shipped, overridden by the config folder's own. Needs no clinic file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptbridge.policy import Policy


def policies_for(config_folder: Path) -> dict[str, Policy]:
    """Policies by name. Raises ConfigError with file:line for a policy file that cannot be right."""
    from ptbridge.policy import load_payers

    own = config_folder / "payers"
    with resources.as_file(resources.files("ptbridge_mappings") / "payers") as shipped:
        return load_payers([shipped, *([own] if own.is_dir() else [])])
