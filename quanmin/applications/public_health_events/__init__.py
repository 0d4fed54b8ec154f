"""Reports of public health events: an outbreak, a poisoning, a disease of unknown cause; first,
as it goes on, and when it is over.

For whom: doctors and nurses who notice one, those who look after reports, centres for disease
control. Why: it is told within 2 hours, and how it goes on and ends is told on the same event.
Ground: Regulation on Public Health Emergencies; Law on the Prevention and
Treatment of Infectious Diseases.
"""
