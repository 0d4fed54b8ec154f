"""For doctors and nurses: open one person's record in an emergency, and close it again.

Why: whoever lies unconscious cannot consent, and a refusal must not cost a life. Ground: Personal
Information Protection Law (2021) article 13 (4), Civil Code article 1220; the person is told at
once, and somebody else judges it.
"""
