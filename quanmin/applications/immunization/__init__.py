"""Vaccination by the national schedule: what is due and why, doses, certificates, and the check
when a child enters a nursery or school.

For whom: doctors, nurses and public-health workers whose post charges them with vaccination; those
whom a school charges with checking certificates; residents and guardians for themselves and their
children. On what ground: Vaccine Administration Law (2019) and the national schedule of 2026.
"""
