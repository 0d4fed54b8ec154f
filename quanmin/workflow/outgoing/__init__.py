"""Telling a system outside of cases: each once, durable, with what it answers.

Which cases are told of is a matter of their workflow (`leaves` of a state).
"""

from quanmin.workflow.outgoing.ports import (
    Answer,
    Answers,
    FilePort,
    HttpPort,
    Port,
    open_port,
)
from quanmin.workflow.outgoing.sending import Sending, leaving_of, send_outgoing
from quanmin.workflow.outgoing.settings import OutgoingSettings

__all__ = [
    "Answer",
    "Answers",
    "FilePort",
    "HttpPort",
    "OutgoingSettings",
    "Port",
    "Sending",
    "leaving_of",
    "open_port",
    "send_outgoing",
]
