"""Hypertension and type-2 diabetes in primary care: people are enrolled, visited by the norm,
referred and returned, and their case is closed.

For whom: doctors, nurses and public-health workers whose post charges them with chronic disease or
as family doctors; doctors of the hospital to which somebody is referred. Why: four visits a year,
sooner when a result is not good. On what ground: Basic public health service norm, third edition
(国卫基层发〔2017〕13号).
"""
