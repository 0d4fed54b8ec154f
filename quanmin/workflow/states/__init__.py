"""Workflows: the states of a case, the steps between them, who may take which, and by when.

A workflow is the `workflow.toml` of an application, checked as a whole when a node starts. A case
is a Task of FHIR R4. Nothing here reads or writes records.
"""

from quanmin.workflow.states.examples import faults_of_examples
from quanmin.workflow.states.loading import FILE, load_workflow, rules_of
from quanmin.workflow.states.model import Notice, State, Step, Timer, Words, Workflow
from quanmin.workflow.states.stepping import (
    Asking,
    Case,
    Due,
    Event,
    Offer,
    Taken,
    due,
    fire,
    offers,
    read_case,
    take,
)

__all__ = [
    "FILE",
    "Asking",
    "Case",
    "Due",
    "Event",
    "Notice",
    "Offer",
    "State",
    "Step",
    "Taken",
    "Timer",
    "Words",
    "Workflow",
    "due",
    "faults_of_examples",
    "fire",
    "load_workflow",
    "offers",
    "read_case",
    "rules_of",
    "take",
]
