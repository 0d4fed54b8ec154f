"""For those who keep and supervise the register of practitioners: licences, their scope, validity
and state, and where somebody practises, as of a day.

Why: who may prescribe, vaccinate or certify follows from it, so it must be seen and kept.
Ground: registration of staff (WS/T 790.8 医疗卫生人员注册); Physicians Law (2022) articles 13, 20.
"""
