"""Signing documents and opinions, and verifying what was signed, by whomever."""

from quanmin.trust.signatures.bundle import Found, judge_files
from quanmin.trust.signatures.judging import Judgement, Judging
from quanmin.trust.signatures.lists import fetch_lists
from quanmin.trust.signatures.office import (
    Office,
    SignatureSettings,
    judge_record,
    sign_record,
)
from quanmin.trust.signatures.own import AUTHORITY, OwnAuthority
from quanmin.trust.signatures.provenance import AUTHOR
from quanmin.trust.signatures.stamping_later import STAMP, put_stamping, stamp_kind

__all__ = [
    "AUTHOR",
    "AUTHORITY",
    "STAMP",
    "Found",
    "Judgement",
    "Judging",
    "Office",
    "OwnAuthority",
    "SignatureSettings",
    "fetch_lists",
    "judge_files",
    "judge_record",
    "put_stamping",
    "sign_record",
    "stamp_kind",
]
