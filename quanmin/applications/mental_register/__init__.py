"""The register of severe mental disorders: who is followed up, who is due, one person's follow-up,
and how many there are by township.

For whom: those charged with severe mental disorders, where the record is kept and at the centre of
the county; the person and the guardian, of themselves. On what ground: Mental Health Law (2018);
Basic public health service norm, third edition (国卫基层发〔2017〕13号).
"""
