"""Durable work for the machine: what must be done outlives the request that asked and a crash.

A job is a row. It is done as a series of short transactions, its steps; each commits what it did
and where the job stands together, so a step happens once however often a worker is killed.
"""

from quanmin.base.jobs.model import (
    Cancelled,
    Continue,
    Done,
    Job,
    JobLimits,
    Kind,
    Listed,
    Reason,
    Step,
)
from quanmin.base.jobs.register import (
    cancel,
    count_open,
    dismiss,
    find,
    list_jobs,
    put,
    retry,
    sweep,
    tally,
)
from quanmin.base.jobs.worker import Worker

__all__ = [
    "Cancelled",
    "Continue",
    "Done",
    "Job",
    "JobLimits",
    "Kind",
    "Listed",
    "Reason",
    "Step",
    "Worker",
    "cancel",
    "count_open",
    "dismiss",
    "find",
    "list_jobs",
    "put",
    "retry",
    "sweep",
    "tally",
]
