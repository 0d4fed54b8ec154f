"""Vaccines in stores: receipts, issues, returns, losses and stock-takes by lot, and where each
lot and package went.

For whom: doctors, nurses and public-health workers whose post charges them with vaccination. On
what ground: Vaccine Administration Law (2019), electronic trace of each smallest package.
"""
