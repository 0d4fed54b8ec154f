"""Telling a system outside of cases: each once, durable, with what it answers.

Which cases are told of is a matter of their workflow (`leaves` of a state).
"""

from quanmin.workflow.outgoing.ports import FilePort, HttpPort, Port, Unsent, open_port
from quanmin.workflow.outgoing.sending import Sending, leaving_of, send_outgoing
from quanmin.workflow.outgoing.settings import OutgoingSettings

__all__ = [
    "FilePort",
    "HttpPort",
    "OutgoingSettings",
    "Port",
    "Sending",
    "Unsent",
    "leaving_of",
    "open_port",
    "send_outgoing",
]
