"""Numbers with correct check digits that nobody can have: they stand on division codes that
were never assigned.
"""

from __future__ import annotations

from datetime import date

from quanmin.demo.tables import NUMBERING

_IDENTITY_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_IDENTITY_CHECKS = "10X98765432"
_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ORDERS = (
    498  # sequence numbers of one sex: 1 to 995 odd or 2 to 996 even, 000 and the top left out
)
_DAYS = 365
IDENTITIES = _ORDERS * _DAYS
"""So many serial numbers give different identity numbers in one county, one year and one sex."""


def identity_check(first_seventeen: str) -> str:
    """The check character of a citizen's identity number (GB 11643)."""
    total = sum(
        int(digit) * weight
        for digit, weight in zip(first_seventeen, _IDENTITY_WEIGHTS, strict=True)
    )
    return _IDENTITY_CHECKS[total % 11]


def identity_number(division: str, born: date, order: int, *, male: bool) -> str:
    """An 18-character identity number; `order` counts those born there on that day."""
    sequence = 2 * (order % _ORDERS) + (1 if male else 2)
    first = f"{division}{born:%Y%m%d}{sequence:03d}"
    return first + identity_check(first)


def old_identity_number(identity: str) -> str:
    """The 15-digit form in use until 1999: no century and no check digit."""
    return identity[:6] + identity[8:17]


def birth_day(year: int, serial: int) -> tuple[int, int]:
    """The day of the year (from 0) and the order on that day for a person's serial number.

    Two persons of one county, year and sex with serial numbers less than `IDENTITIES` apart never
    share both, so identity numbers are unique without a register of those given out.
    """
    # 151 and 365 have no common factor, so consecutive numbers scatter over the year and none is
    # left out.
    return (serial * 151 + year) % _DAYS, serial // _DAYS % _ORDERS


def organisation_check(first_eight: str) -> str:
    """The check character of an organisation code (GB 11714)."""
    total = sum(
        int(character, 36) * weight
        for character, weight in zip(first_eight, _ORGANISATION_WEIGHTS, strict=True)
    )
    check = 11 - total % 11
    return {10: "X", 11: "0"}.get(check, str(check))


def credit_check(first_seventeen: str) -> str:
    """The check character of a unified social credit code (GB 32100)."""
    total = sum(
        _CREDIT_ALPHABET.index(character) * weight
        for character, weight in zip(first_seventeen, _CREDIT_WEIGHTS, strict=True)
    )
    return _CREDIT_ALPHABET[(31 - total % 31) % 31]


def credit_code(division: str, number: int) -> str:
    """The unified social credit code of a public institution (kind 12) of a division."""
    organisation = f"{number:08d}"
    first = f"12{division}{organisation}{organisation_check(organisation)}"
    return first + credit_check(first)


def phone_number(serial: int) -> str:
    """An eleven-digit number in a range that no network has; different for serials below a
    hundred million.
    """
    # Multiplied so that neighbours do not have neighbouring numbers; odd and no multiple of 5, so
    # none repeats.
    return f"{NUMBERING.phone_prefix}{(serial + 1) * 48_271_957 % 100_000_000:08d}"
