"""For security administrators: when personal data may have leaked, been altered or lost.

Why: whoever must tell within hours cannot begin by asking how to find out whom it concerns.
Ground: Personal Information Protection Law (2021) article 57; only numbers are shown, every step is
logged.
"""
