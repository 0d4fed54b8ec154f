"""A form about a person on one page: it is shown, shown again with what is wrong, or taken."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from starlette.responses import Response

from quanmin.fhir.json import Json, decode
from quanmin.web.pickers import with_codes
from quanmin.web.questionnaires import (
    Answered,
    around,
    opened,
    questionnaire_page,
    taken,
    transaction,
)
from quanmin.web.records import DeclaredRecords
from quanmin.web.uploads import with_files
from quanmin.web.visit import Visit
from quanmin.workflow.forms import Form, compile_form


@cache
def form_in(folder: Path, name: str) -> Form:
    """The form `name` in an application's definitions."""
    return compile_form(decode((folder / "definitions" / f"{name}.json").read_bytes()))


async def answered(
    visit: Visit, records: DeclaredRecords, form: Form, patient: str, *, back: str
) -> tuple[Answered | None, Response]:
    """What was sent of a form about a Patient, None unless it may be stored; and the answer: the
    page that shows it, with what is wrong with it, or else the way back.
    """
    subject = {"reference": f"Patient/{patient}"}
    head: dict[str, Json] = {"status": "in-progress", "subject": subject}
    begun = await opened(records, form, around(visit), head)
    await with_files(visit, begun)
    within = await with_codes(visit, records, begun)
    if visit.request.method == "GET":
        return None, questionnaire_page(visit, begun, back=back)
    sent = taken(visit, form, within, begun.response())
    if sent.may_be_sent:
        return sent, visit.go(back)
    return None, questionnaire_page(visit, sent.filling, back=back, found=sent.faults)


def entries_of(sent: Answered, labels: Sequence[Json] = ()) -> list[Json]:
    """What a form that was sent makes: its finished response, then each record, with these security
    labels.
    """
    response = {**sent.filling.response(), "status": "completed"}
    entries: list[Json] = transaction(sent.filling, response)["entry"]
    for one in entries[1:]:
        one["resource"].pop("id", None)
        if labels:
            one["resource"]["meta"] = {"security": list(labels)}
    return entries
