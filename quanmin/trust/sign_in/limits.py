"""How long people stay signed in, and how often they may fail."""

from __future__ import annotations

import msgspec


class SignInLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of signing in; the unit stands last in each name.

    `idle_minutes_max` and `session_hours_max` are how long a session may lie idle and how long it
    lives however much it is used; `administrator_*` are the same for the three administrators.
    `stage_minutes_max` is how long one may take between the password and the second factor.
    `proof_minutes_max` is how long ago somebody may have proved themselves who changes a password
    or a factor. `invitation_hours_max` is how long the code of an invitation works.

    After `account_failures_max` failures an account, and after `address_failures_max` an address,
    waits `delay_seconds` before it may try again, twice as long after each further failure,
    `delay_seconds_max` at most. Failures are forgotten after `failure_hours_max`. Of all browsers
    in which the account has not signed in before, `crowd_failures_max` may fail at once and
    `crowd_failures_per_minute` after that, on the whole node.
    `hashings_max` is how many passwords one worker hashes at once, each of which takes the memory
    that `definitions/sign_in.toml` names.
    """

    idle_minutes_max: int = 30
    session_hours_max: int = 12
    administrator_idle_minutes_max: int = 10
    administrator_session_hours_max: int = 4
    stage_minutes_max: int = 10
    proof_minutes_max: int = 10
    invitation_hours_max: int = 72
    account_failures_max: int = 5
    address_failures_max: int = 30
    crowd_failures_max: int = 300
    crowd_failures_per_minute: int = 30
    delay_seconds: int = 30
    delay_seconds_max: int = 900
    failure_hours_max: int = 24
    hashings_max: int = 2
    address_header: str = ""
    origin: str = ""
