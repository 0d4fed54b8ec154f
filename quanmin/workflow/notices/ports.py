"""The ways out of the node: a folder of files, an HTTP address, a mail server.

Each takes one message with a key. A folder has it once, whatever is killed. With an address or a
server the node may die between their taking it and its knowing so, and sends it again, under the
same key: at least once, and once where the other side knows the key again.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Final, Protocol

import msgspec

from quanmin.base.disk import replace_on_disk
from quanmin.base.posting import Posting, Unsent, is_taken, unsent
from quanmin.base.problems import Unusable
from quanmin.trust.notices import CHANNELS, Channel
from quanmin.workflow.notices.settings import NoticeSettings

# From here on the mail server means it: trying again is in vain.
_FAILURE: Final = 500


class Message(msgspec.Struct, frozen=True):
    """What leaves the node: to whom, in words that say nothing of anybody."""

    key: str
    channel: Channel
    address: str
    language: str
    subject: str
    words: str


class Port(Protocol):
    """A way out."""

    async def send(self, message: Message) -> None:
        """The other side has taken the message when this returns. Raises Unsent."""


class FilePort:
    """A folder: one file for each message, called by its key, so that it is there once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, message: Message) -> None:
        """Put it into the folder, durably; under the same key it is the same file."""
        try:
            await asyncio.to_thread(self._put, message)
        except OSError as error:
            raise Unsent(f"the folder takes no file ({error.errno})", is_final=False) from error

    def _put(self, message: Message) -> None:
        folder = self._folder / message.channel
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_on_disk(folder / f"{message.key}.json", msgspec.json.encode(message))


class HttpPort:
    """An address that takes messages as JSON."""

    def __init__(self, url: str, secret: bytes, seconds_max: float) -> None:
        self._posting = Posting(url, secret, seconds_max)

    async def send(self, message: Message) -> None:
        """Post it; a status of 2xx says that it was taken."""
        status, _ = await self._posting.post(message.key, msgspec.json.encode(message))
        if not is_taken(status):
            raise unsent(status)


class MailPort:
    """A server that takes mail by SMTP. The key is the Message-ID."""

    def __init__(self, settings: NoticeSettings, password: str) -> None:
        host, _, port = settings.mail_server.partition(":")
        self._host, self._port = host, int(port)
        self._settings = settings
        self._password = password

    async def send(self, message: Message) -> None:
        """Hand it to the server."""
        try:
            await asyncio.to_thread(self._hand_over, message)
        except smtplib.SMTPRecipientsRefused as error:
            code = min((code for code, _ in error.recipients.values()), default=_FAILURE)
            raise _refused(code) from error
        except smtplib.SMTPResponseException as error:
            raise _refused(error.smtp_code) from error
        except (smtplib.SMTPException, OSError) as error:
            reason = f"the mail server cannot be used ({type(error).__name__})"
            raise Unsent(reason, is_final=False) from error

    def _hand_over(self, message: Message) -> None:
        sender = self._settings.mail_from
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = sender, message.address, message.subject
        mail["Date"] = formatdate()
        mail["Message-ID"] = f"<{message.key}@{sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["Content-Language"] = message.language
        mail.set_content(message.words)
        with self._connected() as server:
            if self._settings.mail_user:
                server.login(self._settings.mail_user, self._password)
            server.send_message(mail)

    def _connected(self) -> smtplib.SMTP:
        seconds, security = self._settings.send_seconds_max, self._settings.mail_security
        if security == "tls":
            secure = ssl.create_default_context()
            return smtplib.SMTP_SSL(self._host, self._port, timeout=seconds, context=secure)
        server = smtplib.SMTP(self._host, self._port, timeout=seconds)
        if security == "starttls":
            try:
                server.starttls(context=ssl.create_default_context())
            except BaseException:
                server.close()
                raise
        return server


def _refused(code: int) -> Unsent:
    return Unsent(f"the mail server answered {code}", is_final=code >= _FAILURE)


def open_ports(settings: NoticeSettings, folder: Path) -> Mapping[Channel, Port]:
    """The way out of each channel: as it is set, else files in the folder. Raises Unusable for what
    is set by halves.
    """
    ports: dict[Channel, Port] = dict.fromkeys(CHANNELS, FilePort(folder))
    urls: dict[Channel, str] = {"sms": settings.sms_url, "mini-program": settings.mini_program_url}
    for channel, url in urls.items():
        if url:
            secret = _first_line(settings.secret_file, "notices.secret_file")
            ports[channel] = HttpPort(url, secret.encode(), settings.send_seconds_max)
    if settings.mail_server:
        if not settings.mail_from:
            raise Unusable("set notices.mail_from: mail must come from somebody")
        needs = bool(settings.mail_user)
        file = settings.mail_password_file
        ports["mail"] = MailPort(
            settings, _first_line(file, "notices.mail_password_file") if needs else ""
        )
    return ports


def _first_line(file: Path | None, setting: str) -> str:
    try:
        line = "" if file is None else file.read_text("utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"the file of {setting} cannot be read ({type(error).__name__})") from error
    if not line:
        raise Unusable(f"set {setting} to a file with a secret in its first line")
    return line
