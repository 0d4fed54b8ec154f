"""For residents and those who hold their records: ask, answer with reasons, appeal.

Why: a right that can be used only by letter is not used, and an answer without a clock not given.
Ground: Personal Information Protection Law (2021) articles 44 to 50; every step is logged.
"""
