"""Report cards of infectious diseases, on trial: entered by a doctor, checked at the county.

For whom: doctors who report and public-health workers who check. Why: to show a workflow whole.
"""
