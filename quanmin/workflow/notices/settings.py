"""What the operator sets of notices that leave the node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from quanmin.base.retries import Retries

_CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
_ADDRESS = r"^(https?://[^\s?#]+)?$"


class NoticeSettings(Retries, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Notices that leave the node; without a server, messages of a channel are put into files."""

    quiet_from: Annotated[
        str,
        Meta(
            description="From when in the evening only what is urgent is sent, by the node's "
            "clock; people may choose hours of their own.",
            pattern=_CLOCK,
        ),
    ] = "22:00"
    quiet_until: Annotated[
        str,
        Meta(
            description="Until when; the same as `notices.quiet_from`: there are no quiet hours.",
            pattern=_CLOCK,
        ),
    ] = "08:00"
    gather_seconds: Annotated[
        float,
        Meta(
            description="How long what is not urgent waits for others, to leave as one message.",
            ge=0,
        ),
    ] = 60.0
    mail_server: Annotated[
        str,
        Meta(description="The server that takes mail, as `host:port`; empty: files.",
             pattern=r"^([^\s:/]+:[0-9]{1,5})?$"),
    ] = ""  # fmt: skip
    mail_from: Annotated[
        str, Meta(description="The address that mail comes from.", pattern=r"^([^\s@]+@[^\s@]+)?$")
    ] = ""
    mail_security: Annotated[
        Literal["starttls", "tls", "none"],
        Meta(description="How the connection to the server of mail is encrypted."),
    ] = "starttls"
    mail_user: Annotated[str, Meta(description="The account there; empty: none is asked for.")] = ""
    mail_password_file: Annotated[
        Path | None, Meta(description="The file whose first line is the account's password.")
    ] = None
    sms_url: Annotated[
        str,
        Meta(description="The address that takes text messages; empty: files.", pattern=_ADDRESS),
    ] = ""
    mini_program_url: Annotated[
        str,
        Meta(
            description="The address that takes messages of the mini-program; empty: files.",
            pattern=_ADDRESS,
        ),
    ] = ""
    secret_file: Annotated[
        Path | None,
        Meta(
            description="The file whose first line is the secret by which both addresses know what "
            "is this node's; they need it."
        ),
    ] = None
    send_seconds_max: Annotated[
        float, Meta(description="How long the other side may take to take a message.", gt=0)
    ] = 10.0
    poll_seconds: Annotated[
        float, Meta(description="How often a job process looks for what is to be sent.", gt=0)
    ] = 2.0
    kept_days: Annotated[
        int,
        Meta(
            description="How long notices are kept that were read, withdrawn or are over by "
            "themselves, and messages that have ended. What nobody has read stays.",
            ge=1,
        ),
    ] = 365
