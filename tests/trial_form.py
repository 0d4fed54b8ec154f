"""A page on which a trial form is filled in and sent, in its own application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from clinic import Clinic
from starlette.applications import Starlette
from starlette.responses import Response

from quanmin.web import Application, DeclaredRecords, Page, Text, Visit, build, page
from quanmin.web.application import Installed
from quanmin.web.house import KitSettings
from quanmin.web.page_settings import PageSettings
from quanmin.web.questionnaires import (
    around,
    opened,
    questionnaire_page,
    taken,
    transaction,
)
from quanmin.web.route import READERS
from quanmin.workflow.forms import Around, Form
from quanmin.workflow.forms.filling import Filling

Begin = Callable[[Visit, DeclaredRecords], Awaitable[Filling]]
"""What is to be filled in."""
Within = Callable[[Visit, DeclaredRecords, Filling], Awaitable[Around]]
"""What stands around what is filled in, when it is sent."""


def page_of(form: Form, within: Within, *, begin: Begin | None = None, **more: Any) -> Page:
    """The page `/trial/{id}` of a person, with what else a page may be declared with."""

    @page("/trial/{id}", access=READERS, methods=("GET", "POST"), **more)
    async def fill_in(visit: Visit, records: DeclaredRecords) -> Response:
        """The form of a person, at as many addresses as are asked for."""
        visit.asked("n")
        if begin is not None:
            begun = await begin(visit, records)
        else:
            subject = {"reference": f"Patient/{visit.path('id')}"}
            head = {"status": "in-progress", "subject": subject}
            begun = await opened(records, form, around(visit), head)
        around_it = await within(visit, records, begun)
        if visit.request.method == "GET":
            return questionnaire_page(visit, begun, back="/")
        sent = taken(visit, form, around_it, begun.response())
        if sent.may_be_sent:
            response = {**sent.filling.response(), "status": "completed"}
            await records.transact(transaction(sent.filling, response)["entry"])
            return visit.go(visit.request.url.path)
        return questionnaire_page(visit, sent.filling, back="/", found=sent.faults)

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
