"""What people are to be told: left in the transaction that makes the matter, read on their page.

There is one way to tell anybody anything, whoever tells it: a row for each account. How news of it
leaves the node is the matter of `quanmin/workflow/notices`.
"""

from quanmin.trust.notices.kinds import CLASSES, Class, NoticeKind, kernel_kinds, kinds_in, outside
from quanmin.trust.notices.reading import CHANNELS, Channel, Contact, Notice, Notices
from quanmin.trust.notices.telling import About, tell_account, tell_persons, tell_staff, withdraw

__all__ = [
    "CHANNELS",
    "CLASSES",
    "About",
    "Channel",
    "Class",
    "Contact",
    "Notice",
    "NoticeKind",
    "Notices",
    "kernel_kinds",
    "kinds_in",
    "outside",
    "tell_account",
    "tell_persons",
    "tell_staff",
    "withdraw",
]
