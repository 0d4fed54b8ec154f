"""What a job is to the one who does it and to the one who looks at it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from quanmin.base.database import Connection
from quanmin.base.retries import Attempts, LongestPause, Pause, Retries

State = Literal["waiting", "running", "done", "dead", "cancelled"]


class JobLimits(Retries, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Background jobs; how many run, for how long, and when they are given up."""

    processes: Annotated[
        int, Meta(description="How many processes work background jobs off.", ge=0, le=64)
    ] = 1
    places: Annotated[
        int, Meta(description="How many jobs one process works at at once.", ge=1, le=64)
    ] = 4
    batch_jobs: Annotated[
        int,
        Meta(
            description="How many jobs a process takes at a time; those without a place wait in "
            "it.",
            ge=1,
            le=1000,
        ),
    ] = 16
    turn_seconds: Annotated[
        float, Meta(description="After how long a job gives its place to those that wait.", gt=0)
    ] = 2.0
    step_seconds_max: Annotated[
        float, Meta(description="How long one step of a job may take.", gt=0)
    ] = 300.0
    lease_seconds: Annotated[
        float,
        Meta(
            description="After how long without a sign of its process a job is given to another.",
            gt=0,
        ),
    ] = 30.0
    attempts_max: Attempts = 5
    backoff_seconds: Pause = 2.0
    backoff_seconds_max: LongestPause = 600.0
    poll_seconds: Annotated[
        float,
        Meta(description="How often a process looks for jobs that nobody told it of.", gt=0),
    ] = 2.0
    clock_seconds: Annotated[
        float,
        Meta(
            description="How often a process looks for cases of workflows whose time has run out.",
            gt=0,
        ),
    ] = 20.0
    kept_days: Annotated[
        int, Meta(description="How long jobs that have ended are listed.", ge=1)
    ] = 30


class Job(msgspec.Struct, frozen=True):
    """A job at the beginning of a step. `position` is None at its first, then what the last
    `Continue` said.
    """

    number: int
    kind: str
    owner: str
    payload: Any
    position: Any
    done: int
    total: int | None
    attempts: int


class Continue(msgspec.Struct, frozen=True):
    """The step is done and there are more: where the next goes on, and how far the job has come."""

    position: Any
    done: int
    total: int | None = None
    message: str = ""


class Done(msgspec.Struct, frozen=True):
    """The job is done. `result` and `message` name things by their keys, as everything here."""

    result: Any = None
    message: str = ""


Step = Callable[[Connection, Job], Awaitable[Continue | Done]]
"""Does one step inside the transaction of the connection it is given.

What it writes there commits together with the position it returns, or not at all. What it does
elsewhere (files, other servers) may be done twice. A Problem of status 4xx other than 409, 412 and
429 says that trying again is in vain.
"""

Cancelled = Callable[[Connection, Job], Awaitable[None]]
"""Clears up after a job that was cancelled between two steps, in the transaction that says so."""


class Kind(msgspec.Struct, frozen=True):
    """A kind of job and what does it. `cancelled` is asked when it has begun and is cancelled."""

    name: str
    step: Step
    cancelled: Cancelled | None = None


class Reason(msgspec.Struct, frozen=True):
    """Why an attempt failed: a problem's text and status, or the name of a defect."""

    at: int
    text: str
    status: int = 500


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A job as its owner and the operator see it. Moments are microseconds since the epoch."""

    number: int
    kind: str
    state: State
    priority: int
    due: int
    owner: str
    payload: Any
    result: Any
    done: int
    total: int | None
    message: str
    attempts: int
    reasons: tuple[Reason, ...]
    is_cancel_asked: bool
    worker: str | None
    leased_until: int | None
    created_at: int
    started_at: int | None
    ended_at: int | None
