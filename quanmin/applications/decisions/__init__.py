"""For those who answer for access: why somebody can or cannot see something, and by which rules.

Why: a refusal that nobody can explain is worked around, and a right that nobody can explain is not
believed. Ground: Personal Information Protection Law (2021) article 48 (rules are explained); each
question is in the access log, and no answer shows what a record says.
"""
