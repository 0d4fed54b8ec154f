"""For residents and for those who treat them: one person's record over all institutions, from its
front page to its results, and for whose it is to take away.

Why: who cannot see what other institutions did repeats it or harms by not knowing it. Ground:
retrieval of the health record (WS/T 790.13 调阅), front page (国卫办基层发〔2024〕15号), Personal
Information Protection Law (2021) article 45 for the person's own copy.
"""
