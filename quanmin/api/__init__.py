"""The FHIR door of a node: the HTTP interface for machines, in front of the guarded records."""

from quanmin.api.limits import DoorLimits
from quanmin.api.opening import build, open_pace, open_polls

__all__ = ["DoorLimits", "build", "open_pace", "open_polls"]
