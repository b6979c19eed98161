"""WebPT, by its charges extract: visits arrive in files of rows, one row for each charge, in a folder.

There is no public API (2026-11: help.analytics.webpt.com lists extracts, HL7 and reports). The extract holds ids, codes, units
and modifiers; names, payers, diagnoses and minutes are other exports or added columns. Charges that are deleted in WebPT
never flow to a biller by themselves (2026-11: its help article 713), so deletions are seen only in a full file whose
profile says `absent: gone`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from ptbridge.sdk import EXTRACT_PARAMETERS, ConnectorInfo, Pulled, SourceClient, describe_extracts, pull_extracts

INFO = ConnectorInfo(
    name="webpt_extract",
    standard="extract",
    summary="WebPT: the standard charges extract (CSV, TSV or XLSX) from a folder, by changed rows or whole.",
    mapping="emrs/webpt_extract",
    parameters=EXTRACT_PARAMETERS,
    required=("folder",),
)


def pull(client: SourceClient, cursor: Mapping[str, str]) -> AsyncIterator[Pulled]:
    """Yield the visits of every complete file, oldest file first; a file's last batch carries the cursor."""
    return pull_extracts(client, cursor)


async def check(client: SourceClient) -> list[str]:
    """Plain sentences: what lies in the folder, and how files are read."""
    return [
        *await describe_extracts(client),
        # 2026-11, WebPT help article 1180: an addendum without "Finalize & Re-Bill" changes no charge.
        "A note changed by an addendum without Finalize & Re-Bill does not change the extract: WebPT's charge stays as it was.",
        # 2026-11, WebPT help article 1275: codes with 0 units are exported unless the clinic turns that off.
        "Rows with 0 units may come; they are never billed.",
    ]
