"""Adverse events after vaccination: reported, investigated, classified and closed.

For whom: doctors, nurses and public-health workers whose post charges them with vaccination; those
of a centre for the institutions of its region. On what ground: Vaccine Administration Law (2019),
surveillance of adverse events.
"""
