"""How people sign in: accounts, what they prove themselves by, and sessions."""

from quanmin.trust.sign_in.accounts import Account, Accounts
from quanmin.trust.sign_in.limits import SignInLimits
from quanmin.trust.sign_in.measures import Measures, load_measures
from quanmin.trust.sign_in.passkeys import CHALLENGE_SECONDS, Passkey, Relying
from quanmin.trust.sign_in.passwords import Passwords, UnfitPassword, open_passwords
from quanmin.trust.sign_in.sent_forms import SentForms, Turn
from quanmin.trust.sign_in.sessions import Begun, Listed, Session, Sessions, cookie_name
from quanmin.trust.sign_in.signing_in import SIGN_IN, From, SignIn, Step
from quanmin.trust.sign_in.totp import present_code

__all__ = [
    "CHALLENGE_SECONDS",
    "SIGN_IN",
    "Account",
    "Accounts",
    "Begun",
    "From",
    "Listed",
    "Measures",
    "Passkey",
    "Passwords",
    "Relying",
    "SentForms",
    "Session",
    "Sessions",
    "SignIn",
    "SignInLimits",
    "Step",
    "Turn",
    "UnfitPassword",
    "cookie_name",
    "load_measures",
    "open_passwords",
    "present_code",
]
