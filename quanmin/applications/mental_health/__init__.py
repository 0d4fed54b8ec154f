"""Severe mental disorders: registration with consent, follow-up visits by danger grade, referral,
and emergency reports.

For whom: doctors, nurses and public-health workers whose post charges them with severe mental
disorders, at the institution that keeps the record and at the centre of the county; the person and
the guardian, of themselves. Nobody else sees that somebody is registered. On what ground: Mental
Health Law (2018); Basic public health service norm, third edition (国卫基层发〔2017〕13号).
"""
