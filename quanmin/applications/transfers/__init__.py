"""For those who answer for what leaves the country: to whom, on what ground, how much, until when.

Why: nothing leaves by default, and an approval that nobody can look up is not kept to.
Ground: Personal Information Protection Law (2021) articles 38 to 40; Data Security Law (2021) 31.
"""
