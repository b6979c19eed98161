"""MLLP both ways. Receiving: store, then acknowledge. Sending: one in flight, and an answer counts only by its MSA-2.

The listener collects what arrives from all connections, hands it to `store` in one call (one commit, one fsync), and only then
asks `on_message` for each answer. While a store is under way the next batch gathers, so the commit is shared by itself. For a
trouble of ours (a `store` or `on_message` that raises) there is no answer, and the connection is closed: engines resend
after silence, and never after a NAK.
"""

from __future__ import annotations

from ptbridge.wire.mllp_connection import Peer
from ptbridge.wire.mllp_frames import FrameError, FrameReader, framed
from ptbridge.wire.mllp_limits import Allowed, MllpLimits, client_tls, server_tls
from ptbridge.wire.mllp_listener import Answer, MllpListener, Received
from ptbridge.wire.mllp_sender import MllpReply, MllpSender

__all__ = [
    "Allowed",
    "Answer",
    "FrameError",
    "FrameReader",
    "MllpLimits",
    "MllpListener",
    "MllpReply",
    "MllpSender",
    "Peer",
    "Received",
    "client_tls",
    "framed",
    "server_tls",
]
