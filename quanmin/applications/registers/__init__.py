"""For those who keep and ask the registers: which institutions there are, and were on a day.

Why: who may act follows from the registers, so whoever is stopped must be able to see why.
Ground: registration of institutions (WS/T 790.7 机构注册); the register names no person.
"""
