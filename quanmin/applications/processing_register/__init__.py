"""For those who answer for what is done with personal data: why, on what ground, at what risk.

Why: what stands in no register is done without anybody having asked whether it may be.
Ground: Personal Information Protection Law (2021) articles 54 to 56; the register names no person.
"""
