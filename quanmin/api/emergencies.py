"""`$break-glass`: open one person's record in an emergency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quanmin.api.parameters import Parameters, answer
from quanmin.trust.emergencies import Emergencies

if TYPE_CHECKING:
    from quanmin.api.call import Call
    from quanmin.api.reply import Reply


async def break_glass(call: Call) -> Reply:
    """Open the record of the person whom the Patient is, for a reason; tells until when."""
    _, id_, _ = call.parts
    reason = Parameters(call, ("reason",)).need("reason")
    until = await call.records.desk(Emergencies).open(id_, reason)
    moment = call.records.context.instant(until)
    return answer([{"name": "until", "valueInstant": moment}])
