"""Hypertension and type-2 diabetes: who is screened, who is due, what was measured and examined.

For whom: doctors, nurses and public-health workers whose post charges them with chronic disease or
as family doctors; residents and guardians for their own follow-up. Why: a pressure once a year from
35 years on, four visits and an examination a year. On what ground: Basic public health service
norm, third edition (国卫基层发〔2017〕13号).
"""
