"""For staff at the counter of an institution, who open accounts for residents.

Why: residents see their record, consent and act for others only when it is sure who they are.
Ground: Cybersecurity Law article 24; Personal Information Protection Law articles 45, 50.
"""
