"""Any EMR that exports charges, as an extract of our plain layout or the clinic's own: visits arrive in files in a folder.

CSV, TSV or XLSX, one row for each charge. The columns are in the mapping; docs/extracts.md lists those of the plain layout.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from ptbridge.sdk import EXTRACT_PARAMETERS, ConnectorInfo, Pulled, SourceClient, describe_extracts, pull_extracts

INFO = ConnectorInfo(
    name="csv_charges",
    standard="extract",
    summary="Any EMR that exports charges as CSV, TSV or XLSX into a folder, one row for each charge.",
    mapping="emrs/csv_charges",
    parameters=EXTRACT_PARAMETERS,
    required=("folder",),
)


def pull(client: SourceClient, cursor: Mapping[str, str]) -> AsyncIterator[Pulled]:
    """Yield the visits of every complete file, oldest file first; a file's last batch carries the cursor."""
    return pull_extracts(client, cursor)


async def check(client: SourceClient) -> list[str]:
    """Plain sentences: what lies in the folder, and how files are read."""
    return await describe_extracts(client)
