"""The stores of vaccines and their temperatures.

For whom: doctors, nurses and public-health workers whose post charges them with vaccination. On
what ground: Vaccine Administration Law (2019), storage and transport of vaccines in the cold.
"""
