"""How news of a notice leaves the node: to whom has chosen a way, once, and not at night."""

from quanmin.workflow.notices.delivery import Delivery, deliver
from quanmin.workflow.notices.ports import Message, Port, open_ports
from quanmin.workflow.notices.queue import Messages, Queued
from quanmin.workflow.notices.settings import NoticeSettings

__all__ = [
    "Delivery",
    "Message",
    "Messages",
    "NoticeSettings",
    "Port",
    "Queued",
    "deliver",
    "open_ports",
]
