"""Shared standards as data: one file, one definition, with its source and owner."""
