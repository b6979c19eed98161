"""The inbox: HL7 v2 messages as they came, durable before they are acknowledged. Written by `listen`, read by `sync`."""

from ptbridge.inbox.envelope import Envelope, Rules, envelope_of
from ptbridge.inbox.inbox import Arrival, ClinicInbox, Inbox, Stored

__all__ = ["Arrival", "ClinicInbox", "Envelope", "Inbox", "Rules", "Stored", "envelope_of"]
