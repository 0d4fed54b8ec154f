"""A page on which a trial form is filled in, kept as a draft and sent, in its own application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from clinic import Clinic
from starlette.applications import Starlette
from starlette.responses import Response

from quanmin.fhir.json import Json, decode
from quanmin.web import Application, DeclaredRecords, Page, Text, Visit, build, page
from quanmin.web.application import Installed
from quanmin.web.buttons import DRAFT
from quanmin.web.house import KitSettings
from quanmin.web.page_settings import PageSettings
from quanmin.web.questionnaires import (
    around,
    kept_as_it_is,
    opened,
    questionnaire_page,
    reopened,
    taken,
    transaction,
)
from quanmin.web.route import READERS
from quanmin.workflow.forms import Around, Form
from quanmin.workflow.forms.filling import Filling

Begin = Callable[[Visit, DeclaredRecords, Json | None], Awaitable[Filling]]
"""From a draft, None for none, to what is filled in."""
Within = Callable[[Visit, DeclaredRecords, Filling], Awaitable[Around]]
"""What stands around what is filled in, when it is sent."""


def page_of(form: Form, within: Within, *, begin: Begin | None = None, **more: Any) -> Page:
    """The page `/trial/{id}` of a person, with what else a page may be declared with."""

    @page("/trial/{id}", access=READERS, methods=("GET", "POST"), **more)
    async def fill_in(visit: Visit, records: DeclaredRecords) -> Response:
        """The form of a person, a draft or a new one."""
        id_ = visit.path("id")
        drafts = await records.find(
            "QuestionnaireResponse", ("patient", id_), ("status", "in-progress"), count=1
        )
        draft = decode(drafts.matches[0].body or b"") if drafts.matches else None
        if begin is not None:
            begun = await begin(visit, records, draft)
        elif draft is not None:
            begun = reopened(form, around(visit), draft)
        else:
            head = {"status": "in-progress", "subject": {"reference": f"Patient/{id_}"}}
            begun = await opened(records, form, around(visit), head)
        around_it = await within(visit, records, begun)
        if visit.request.method == "GET":
            return questionnaire_page(visit, begun, back="/", may_draft=True)
        sent = taken(visit, form, around_it, begun.response())
        if sent.may_be_sent:
            response = {**sent.filling.response(), "status": "completed"}
            await records.transact(transaction(sent.filling, response)["entry"])
            return visit.go(visit.request.url.path)
        if sent.action == DRAFT and not sent.faults:
            made = kept_as_it_is(sent.filling, sent.filling.response())
            await records.transact(made["entry"])
            return visit.go(visit.request.url.path)
        return questionnaire_page(visit, sent.filling, back="/", found=sent.faults, may_draft=True)

    return fill_in


def trial_pages(
    clinic: Clinic,
    folder: Path,
    *pages: Page,
    reads: frozenset[str] = frozenset(),
    writes: frozenset[str] = frozenset(),
    limits: PageSettings | None = None,
    **settings: Any,
) -> Starlette:
    """The pages of a node with one application, which has these and reads and writes answers."""
    (folder / "templates").mkdir()
    application = Application(
        name="trial",
        title=Text(zh="试用", en="Trial"),
        summary=Text(zh="试用表单", en="A form to try"),
        levels=frozenset({"county"}),
        roles=frozenset({"institution"}),
        reads=reads | {"Patient", "QuestionnaireResponse"},
        writes=writes | {"QuestionnaireResponse"},
        home="/trial",
        pages=pages,
    )
    zone = clinic.guard.store.context.zone
    kit = KitSettings(secret=b"p" * 32, zone=zone, pages=limits or PageSettings(), **settings)
    installed = (Installed(application, folder),)
    return Starlette(routes=build(clinic.guard, clinic.sign_in, kit, installed=installed))
