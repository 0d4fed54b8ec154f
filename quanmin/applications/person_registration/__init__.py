"""Registering somebody at an institution: a child who has moved there, a newborn.

For whom: doctors, nurses and public-health workers. On what ground: Basic Healthcare and Health
Promotion Law, health records of residents; by the identity number the registration becomes one of
the person whom other institutions know.
"""
