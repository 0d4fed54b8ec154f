"""For doctors and residents: find one person and read their record across institutions.

Why: a doctor who cannot see what other institutions did repeats it or harms by not knowing it.
Ground: retrieval of the health record (WS/T 790.13 调阅); every opening of a record is logged with
its purpose.
"""
