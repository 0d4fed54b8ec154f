"""What the national direct-reporting system was told of report cards, and what it answered.

For whom: who looks after reports at hospitals and centres for disease control. Why: a card is typed
once; what was refused is mended and sent again. Ground: Law on the Prevention and Treatment of
Infectious Diseases.
"""
