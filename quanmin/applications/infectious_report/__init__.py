"""Report cards of notifiable infectious diseases: prompted by a diagnosis, filled in from the
visit, checked at the hospital, reviewed by the centres for disease control.

For whom: doctors who diagnose, those who look after reports at hospitals, customs and centres for
disease control; residents see where their own card stands. Why: a report is due within 2 or 24
hours. Ground: Law on the Prevention and Treatment of Infectious Diseases, which asks no consent.
"""
