"""For those who answer for keeping and deleting: what is due, who proposed, who confirmed, holds.

Why: what must not be kept is deleted by two, and what must be kept is not.
Ground: Personal Information Protection Law (2021) articles 19, 47; only numbers are shown.
"""
