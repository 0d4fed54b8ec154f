"""Close contacts of cases of notifiable diseases: listed, visited, observed until they are free.

For whom: who looks after reports at centres for disease control. Why: who falls ill is found before
others are in contact. Ground: Law on the Prevention and Treatment of Infectious Diseases, medical
observation of close contacts.
"""
