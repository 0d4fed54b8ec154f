"""For those who keep the register of posts, of all institutions or of their own: who works where,
in which role, with which duties, from when to when.

Why: staff act in a post only, so whoever begins or leaves is entered and ended here.
Ground: GB/T 22239-2019 8.1.4.2 (accounts and rights by post); WS/T 790.8.
"""
