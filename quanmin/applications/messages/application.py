"""The declaration of the pages of messages."""

from __future__ import annotations

from quanmin.applications.messages import pages
from quanmin.web import Application, Text
from quanmin.workflow.notices import Messages

APPLICATION = Application(
    name="messages",
    title=Text(zh="消息发送", en="Messages"),
    summary=Text(
        zh="短信、小程序与邮件的发送队列：被拒绝的消息、原因与重发。",
        en="What leaves by text message, mini-program and mail: refused messages, why, sent again.",
    ),
    levels=frozenset({"county", "city", "province"}),
    roles=pages.KEEPERS.roles or frozenset(),
    reads=frozenset(),
    desks=frozenset({Messages}),
    purpose="HSYSADMIN",
    section="node",
    home="/messages",
    pages=pages.PAGES,
)
