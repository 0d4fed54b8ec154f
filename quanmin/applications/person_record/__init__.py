"""For those who treat somebody: find one person; and for whoever may see it, read one record.

Why: a doctor who cannot find a person's registrations misses what others did; who cannot read a
record as it was sent, with its versions, cannot rely on it. Ground: retrieval of the health record
(WS/T 790.13 调阅); every opening of a record is logged with its purpose. What a person has over all
institutions is the health record's matter.
"""
