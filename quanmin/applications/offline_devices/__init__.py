"""For security administrators: the devices on which workers take people along to where there is no
line, and revoking one that is lost.

On the ground that what leaves the node stays in its reach: Personal Information Protection Law
(2021) article 51 (measures against leaks).
"""
