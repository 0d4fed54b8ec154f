"""How many cases of which notifiable disease there are, when and where: a curve and a map.

For whom: who looks after reports at hospitals and centres for disease control; supervisors, who are
told of weeks without small groups. Why: an outbreak shows in numbers before it does in cards, and
each number leads whoever sees the cards to them. Ground: Law on the Prevention and Treatment of
Infectious Diseases.
"""
