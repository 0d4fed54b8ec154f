"""Puts the parts together: from settings to one running node, and its command line."""
