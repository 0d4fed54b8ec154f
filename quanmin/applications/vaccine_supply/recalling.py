"""A lot is recalled, and a recall lifted: each with its reason, and both stay readable."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from quanmin.applications.vaccine_supply.pages import STAFF
from quanmin.applications.vaccine_supply.tracing import TRACE, asked_lot, lot_address
from quanmin.base.problems import Conflict
from quanmin.web import DeclaredRecords, Page, Visit, page
from quanmin.web.forms import Field, Sent, confirm_page, form_page, is_confirmed
from quanmin.web.stocks import is_recalled, lifting, name_of, now_of, recalling, recalls_of

_WORDS_MAX: Final = 500


@page(f"{TRACE}/recall", access=STAFF, methods=("GET", "POST"))
async def recall(visit: Visit, records: DeclaredRecords) -> Response:
    """Recall a lot, with the reason: no dose of it that is given from then on is recorded, wherever
    it is.
    """
    say, (product, number) = visit.say, asked_lot(visit)
    lot = {"lot": f"{name_of(visit, product)} {number}"}
    title, button = say("Recall %(lot)s") % lot, say("Recall this lot")
    sentence = say("No dose of it that is given from now on can be recorded, at any institution.")
    field = Field("why", say("Why it is recalled"), is_needed=True, length_max=_WORDS_MAX)
    why, shown = _reason(visit, title, button, field, sentence)
    if shown is not None:
        return shown
    earlier = await recalls_of(records, product, number)
    if not any(is_recalled(one) for one in earlier):
        made = recalling(product, number, len(earlier), now_of(visit), why)
        await records.transact([made])
    return visit.go(lot_address(product, number))


@page(f"{TRACE}/lift", access=STAFF, methods=("GET", "POST"))
async def lift(visit: Visit, records: DeclaredRecords) -> Response:
    """Lift a recall, with the reason: the guard lets those who recalled the lot, and no others."""
    say, (product, number) = visit.say, asked_lot(visit)
    recalls = await recalls_of(records, product, number)
    held = next((one for one in recalls if is_recalled(one)), None)
    if held is None:
        raise Conflict("this lot is not recalled: open its page anew")
    lot = {"lot": f"{name_of(visit, product)} {number}"}
    title, button = say("Lift the recall of %(lot)s") % lot, say("Lift the recall")
    sentence = say("Doses of it can be recorded again, where its store and expiry allow.")
    field = Field("why", say("Why it is lifted"), is_needed=True, length_max=_WORDS_MAX)
    why, shown = _reason(visit, title, button, field, sentence)
    if shown is not None:
        return shown
    await records.transact([lifting(held, now_of(visit).date(), why)])
    return visit.go(lot_address(product, number))


def _reason(
    visit: Visit, title: str, button: str, field: Field, sentence: str
) -> tuple[str, Response | None]:
    """The reason that was given and confirmed; before that, the page that asks for it."""
    back, sent = lot_address(*asked_lot(visit)), Sent(visit)
    if visit.request.method == "GET":
        return "", form_page(visit, title, [field], button=button, back=back)
    why = sent.text(field.name, is_needed=True, length_max=_WORDS_MAX)
    if not sent.is_sound:
        return "", form_page(visit, title, [field], button=button, back=back, sent=sent)
    if not is_confirmed(visit):
        return "", confirm_page(visit, title, [sentence], back=back)
    return why, None


PAGES: Final[tuple[Page, ...]] = (recall, lift)
