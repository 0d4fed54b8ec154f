"""For security administrators, and who reviews for an institution: judge what was opened in
emergencies, and how often it was.

Why: a right that nobody looks at is used out of curiosity. Ground: Personal Information Protection
Law (2021) articles 51 and 54 (controls and audits); nobody judges their own, and what the record
says is not shown.
"""
