"""How people sign in: accounts, what they prove themselves by, and sessions."""

from quanmin.trust.sign_in.accounts import Account, Accounts
from quanmin.trust.sign_in.limits import SignInLimits
from quanmin.trust.sign_in.passwords import Passwords, open_passwords
from quanmin.trust.sign_in.sessions import Begun, Session, Sessions, cookie_name

__all__ = [
    "Account",
    "Accounts",
    "Begun",
    "Passwords",
    "Session",
    "Sessions",
    "SignInLimits",
    "cookie_name",
    "open_passwords",
]
