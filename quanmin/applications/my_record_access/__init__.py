"""For residents and those who answer for them: who may see the record, and who has looked at it.

Why: whose record it is must be able to open, close and watch it without asking anybody.
Ground: Personal Information Protection Law (2021) articles 14, 15, 17, 23, 29, 31, 44, 45.
"""
