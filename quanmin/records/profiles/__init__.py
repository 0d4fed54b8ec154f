"""Profiles in force: StructureDefinitions that were stored, and records held to them."""

from quanmin.records.profiles.catalogue import ProfileIndex
from quanmin.records.profiles.judging import Profiles, ValidationLimits

__all__ = ["ProfileIndex", "Profiles", "ValidationLimits"]
