"""`$sign` and `Provenance/$verify-signature`: what was written is vouched for, and whether that
holds.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from quanmin.api.parameters import Parameters, answer
from quanmin.api.reply import Reply, version_headers, version_url
from quanmin.base.problems import Malformed, NotSupported
from quanmin.trust.signatures import (
    AUTHOR,
    Judgement,
    Office,
    judge_record,
    put_stamping,
    sign_record,
)

if TYPE_CHECKING:
    from quanmin.api.call import Call

_KIND: Final = "type"
_CODE: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){1,15}")


async def sign(call: Call) -> Reply:
    """Sign the current version of a record in the asker's name; the answer is the Provenance that
    holds the signature, which is stored.
    """
    type_, id_, _ = call.parts
    kind = Parameters(call, {_KIND}).text(_KIND) or AUTHOR
    if not _CODE.fullmatch(kind):
        raise Malformed("type is a code of the signature types of ASTM E1762, such as " + AUTHOR)
    office = _office(call)
    stored = (await sign_record(office, call.records, type_, id_, kind)).stored
    await put_stamping(office, call.records, stored)
    location = version_url(call.base, stored)
    return Reply(201, stored.body or b"", (*version_headers(stored), (b"location", location)))


async def verify(call: Call) -> Reply:
    """Whether the signature in a Provenance holds for the version it names, with every reason
    against it; always 200, for the answer is about the signature.
    """
    Parameters(call, ())
    _, id_, _ = call.parts
    judgement = await judge_record(_office(call), call.records, id_)
    return answer(_told(judgement))


def _office(call: Call) -> Office:
    office = call.desk.office
    if office is None:
        raise NotSupported("this node has no keys to sign with and believes no authority")
    return office


def _told(judgement: Judgement) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = [{"name": "holds", "valueBoolean": judgement.holds}]
    for refusal in judgement.refusals:
        parts = [
            {"name": "reason", "valueCode": refusal.reason},
            {"name": "text", "valueString": refusal.text},
        ]
        listed.append({"name": "refusal", "part": parts})
    if judgement.algorithm:
        listed.append({"name": "algorithm", "valueCode": judgement.algorithm})
    if judgement.signer is not None:
        subject = ", ".join(f"{kind}={value}" for kind, value in judgement.signer.attributes)
        listed.append({"name": "signer", "valueString": subject})
        listed.append({"name": "certificate", "valueString": judgement.signer.fingerprint})
    if judgement.claimed:
        listed.append({"name": "claimed", "valueString": judgement.claimed})
    if judgement.stamped is not None:
        moment = judgement.stamped.isoformat().replace("+00:00", "Z")
        listed.append({"name": "stamped", "valueInstant": moment})
        listed.append({"name": "stamp-is-own", "valueBoolean": judgement.is_stamp_own})
    return listed
