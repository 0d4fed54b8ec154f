"""quanmin (全民, "the whole people"): an open population health information platform."""

__version__ = "0.1.0"
