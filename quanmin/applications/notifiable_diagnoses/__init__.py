"""Notifiable diagnoses that have no report card yet.

For whom: doctors who diagnose. Why: a diagnosis prompts its card, before its 2 or 24 hours
are over. Ground: Law on the Prevention and Treatment of Infectious Diseases.
"""
