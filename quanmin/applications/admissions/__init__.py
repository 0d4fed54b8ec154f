"""For those who admit apps, devices, non-government parties and operators: application, review,
agreement with an end, renewal, and withdrawal at once.

Why: whoever is no institution of the register and yet asks for records is let in by decision only.
Ground: Personal Information Protection Law (2021) articles 21, 55; Data Security Law (2021) 40.
"""
