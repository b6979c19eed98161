"""The inbox: HL7 v2 messages as they came, durable before they are acknowledged. Written by `listen`, read by `sync`."""

from ptbridge.inbox.database import FILE_NAME as INBOX_FILE
from ptbridge.inbox.database import StoreLater
from ptbridge.inbox.envelope import DAMAGED, Envelope, Rules, envelope_of
from ptbridge.inbox.files import Taken, take_files
from ptbridge.inbox.inbox import Arrival, ClinicInbox, Inbox, Stored, verify

__all__ = [
    "DAMAGED",
    "INBOX_FILE",
    "Arrival",
    "ClinicInbox",
    "Envelope",
    "Inbox",
    "Rules",
    "StoreLater",
    "Stored",
    "Taken",
    "envelope_of",
    "take_files",
    "verify",
]
