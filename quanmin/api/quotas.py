"""`$quotas`: what an institution may use of the node, and has used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quanmin.api.parameters import Parameters, answer
from quanmin.trust import Spending

if TYPE_CHECKING:
    from quanmin.api.call import Call
    from quanmin.api.reply import Reply
    from quanmin.trust import Allowance


async def tell_quotas(call: Call) -> Reply:
    """The quotas of the asker's institution, for an operator also of the one that is named."""
    named = Parameters(call, ("institution",)).text("institution")
    found = await call.records.desk(Spending).of(named)
    return answer([_part(call, one) for one in found])


def _part(call: Call, one: Allowance) -> dict[str, Any]:
    part: list[dict[str, Any]] = [
        {"name": "institution", "valueString": one.institution},
        {"name": "code", "valueCode": one.quota},
        {"name": "used", "valueDecimal": one.used},
    ]
    if one.most:
        part.append({"name": "most", "valueDecimal": one.most})
    if one.until is not None:
        part.append({"name": "until", "valueInstant": call.records.context.instant(one.until)})
    return {"name": "quota", "part": part}
