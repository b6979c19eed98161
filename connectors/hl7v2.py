"""Any EMR that sends HL7 v2, in HL7 v2: visits arrive as DFT, ADT, SIU, MDM and ORU messages through the inbox.

`ptbridge listen` receives them over MLLP, or files of a drop folder are taken. A visit is everything that its messages say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from ptbridge.sdk import HL7_PARAMETERS, ConnectorInfo, Pulled, SourceClient, describe_messages, walk_messages

INFO = ConnectorInfo(
    name="hl7v2",
    standard="HL7 v2",
    summary="Any EMR that sends HL7 v2 charges (DFT) over MLLP or as files; ptbridge listen receives them.",
    mapping="emrs/hl7v2_generic",
    parameters=HL7_PARAMETERS,
)


def pull(client: SourceClient, cursor: Mapping[str, str]) -> AsyncIterator[Pulled]:
    """Yield the visits that messages after the cursor tell of, then the booked ones whose day is over without a charge."""
    return walk_messages(client, cursor)


async def check(client: SourceClient) -> list[str]:
    """Plain sentences: what was received, what was left out and why, and how visits are told apart."""
    return await describe_messages(client)
