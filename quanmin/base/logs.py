"""Writes what happens as lines of JSON: searchable by machines, silent about people by design.

A line holds the fields of a fixed list and nothing else. Texts of exceptions are never written,
since they may repeat what was sent; their type and place are. Whoever needs a new field adds it
here, where it can be seen to be harmless.
"""

from __future__ import annotations

import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

# One value from the request to the row to the log line. Set by the door, read by everything below
# it.
correlation_id: Final[ContextVar[str]] = ContextVar("correlation_id", default="")

# None of these can name a person: an actor is a program or a role's code, a route is a pattern
# without ids.
FIELDS: Final = frozenset(
    {
        "actor",
        "address",
        "application",
        "attempt",
        "bytes",
        "count",
        "duration_ms",
        "exit_code",
        "free_bytes",
        "interaction",
        "method",
        "migration",
        "port",
        "process",
        "purpose",
        "resource_type",
        "route",
        "segment",
        "severity_of_issue",
        "status",
        "timer",
        "version",
        "worker",
    }
)
SEVERITIES: Final = {
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
_NAMES: Final = {number: name for name, number in SEVERITIES.items()}
_encode = msgspec.json.Encoder().encode


class JsonLines(logging.Formatter):
    """Formats a line: `at` (UTC), `severity`, `source`, `text`, `correlation`, `process`, FIELDS.

    `text` is the message as written in the program, without its arguments: what varies goes into a
    field.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON, without its end."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "severity": _NAMES.get(record.levelno, "information"),
            "source": record.name,
            "text": record.msg if isinstance(record.msg, str) else type(record.msg).__name__,
        }
        correlation = correlation_id.get()
        if correlation:
            line["correlation"] = correlation
        given = record.__dict__
        line.update({name: _plain(given[name]) for name in FIELDS & given.keys()})
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["trace"] = _places(record)
        return _encode(line).decode()


def _plain(value: object) -> object:
    """A number or a short text as it is; anything else only by the name of its type."""
    if isinstance(value, bool | int | float) or value is None:
        return value
    return value[:200] if isinstance(value, str) else type(value).__name__


def _places(record: logging.LogRecord) -> list[str]:
    """Where the exception passed, innermost last: file, line and function; no values."""
    trace = record.exc_info[2] if record.exc_info else None
    frames = traceback.extract_tb(trace)[-12:]
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]


def write_logs(severity: int = logging.INFO) -> None:
    """Send this process's log to standard error; that of libraries only from warnings on."""
    written = logging.StreamHandler(sys.stderr)
    written.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [written]
    root.setLevel(logging.WARNING)
    logging.getLogger("quanmin").setLevel(severity)
