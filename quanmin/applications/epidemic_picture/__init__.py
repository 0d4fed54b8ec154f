"""How many cases of which notifiable disease there are, when and where: a curve and a map.

For whom: who looks after reports at hospitals and centres for disease control. Why: an outbreak
shows in numbers before it does in cards, and each number leads to its cards. Ground: Law on the
Prevention and Treatment of Infectious Diseases.
"""
