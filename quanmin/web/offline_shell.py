"""The page that a device keeps for filling in forms without a line: it is the same for everybody,
and nothing of anybody stands in it. What it shows comes out of the device.

A browser keeps it by a service worker, and offers to install it by a manifest. Both, and what the
page asks of the node before anybody signs in, are served here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from quanmin.base.problems import NotFound
from quanmin.fhir.json import encode
from quanmin.trust.devices import read_id, state_of
from quanmin.web.assets import STATIC_FOLDER
from quanmin.web.house import House
from quanmin.web.offline import answer_json
from quanmin.web.policy import WITH_SCRIPT
from quanmin.web.route import ANYBODY, Page, page
from quanmin.web.text import LANGUAGES, Language, as_language
from quanmin.web.visit import Visit

SHELL: Final = "/offline"
_MANIFEST: Final = f"{SHELL}/manifest.webmanifest"
_SCRIPTS: Final = ("offline_store.js", "offline_form.js", "offline.js")
_KEPT: Final = ("style.css", "parts.css", "mark.svg", *_SCRIPTS)
_ICONS: Final = (("mark_192.png", "192x192"), ("mark_512.png", "512x512"))
Say = Callable[[str], str]


@page(f"{SHELL}/contact", access=ANYBODY)
async def contact(visit: Visit) -> Response:
    """How a device stands, and for who has signed in what a form of theirs sends along."""
    device = read_id(visit.asked("device"))
    guard = visit.house.guard
    state = "unknown" if device is None else await state_of(guard, device)
    token = "" if visit.actor is None else visit.form_token()
    return answer_json({"state": state, "token": token})


@page(f"{SHELL}/worker.js", access=ANYBODY)
async def worker(visit: Visit) -> Response:
    """The service worker: it knows its files, and that one of them has changed."""
    house = visit.house
    pages = {_address(one): _shell(house, one) for one in LANGUAGES}
    files = [*pages, _MANIFEST, *(house.assets.address(one) for one in _KEPT)]
    digest = hashlib.sha256("\n".join([*files, *pages.values(), _manifest(house)]).encode())
    name = f"quanmin-offline-{digest.hexdigest()[:12]}"
    head = f"const NAME = {encode(name).decode()};\nconst FILES = {encode(files).decode()};\n"
    source = (STATIC_FOLDER / "offline_worker.js").read_text("utf-8")
    return Response(head + source, media_type="text/javascript")


@page(_MANIFEST, access=ANYBODY)
async def manifest(visit: Visit) -> Response:
    """By what a browser offers to install it."""
    return Response(_manifest(visit.house), media_type="application/manifest+json")


def _manifest(house: House) -> str:
    site, title = house.settings.title.told("zh"), house.say("Offline forms", "zh")
    icons = [
        {"src": house.assets.address(name), "sizes": sizes, "type": "image/png"}
        for name, sizes in _ICONS
    ]
    told = {
        "name": f"{site} · {title}",
        "short_name": title,
        "lang": "zh-CN",
        "id": SHELL,
        "start_url": _address("zh"),
        "scope": f"{SHELL}/",
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": "#0b5c8c",
        "icons": icons,
    }
    return encode(told).decode()


@page(f"{SHELL}/{{language}}", access=ANYBODY)
async def shell(visit: Visit) -> Response:
    """The page, in a language."""
    language = as_language(visit.path("language"))
    if language is None or _address(language) != visit.request.url.path:
        raise NotFound("no page has this address")
    wished = as_language(visit.asked("lang"))
    if wished not in {None, language}:
        return visit.go(f"{_address(wished)}{'?large=1' if visit.is_large else ''}")
    html = _shell(visit.house, language, is_large=visit.is_large)
    return HTMLResponse(html, headers={"Content-Security-Policy": WITH_SCRIPT})


def _address(language: Language) -> str:
    return f"{SHELL}/{language}"


def _shell(house: House, language: Language, *, is_large: bool = False) -> str:
    settings = house.settings
    return house.render(
        "kit/offline.html",
        language,
        {
            "language": language,
            "is_large": is_large,
            "site": settings.title.told(language),
            "is_fictional": settings.is_fictional,
            "manifest": _MANIFEST,
            "other": {one: _address(one) for one in LANGUAGES if one != language},
            "here": _address(language),
            "scripts": _SCRIPTS,
            # In an attribute, which keeps it whatever it holds.
            "words": Markup.escape(encode(_words(house, language)).decode()),
        },
    )


def _words(house: House, language: Language) -> dict[str, str]:
    def say(message: str) -> str:
        return house.say(message, language)

    return {**_of_list(say), **_of_states(say), **_of_forms(say), **_of_conflicts(say)}


def _of_list(say: Say) -> dict[str, str]:
    return {
        "list": say("Who was taken along"),
        "empty": say("Nobody was taken along on this device"),
        "how-to-begin": say(
            "Sign in where there is a connection, open the list of your work and choose"
            " “Take along”."
        ),
        "name": say("Name"),
        "state": say("State"),
        "nobody": say("Nobody is due."),
        "until": say("Deleted from this device at {moment}."),
        "again": say("Take along anew"),
        "draft": say("begun"),
        "drafts": say("Begun and not finished"),
        "queue": say("To be sent"),
        "send": say("Send now"),
        "delete-all": say("Delete everything on this device"),
        "unsent-lost": say("Forms that were not sent and will be lost: {n}."),
        "back": say("Back"),
        "sent": say("sent"),
    }


def _of_states(say: Say) -> dict[str, str]:
    return {
        "is-waiting": say("waits to be sent"),
        "is-troubled": say("waits: the node failed over it"),
        "is-faults": say("something is to be mended"),
        "is-conflict": say("to be settled: it has moved on"),
        "is-refused": say("the node has refused it"),
        "stored": say("Stored: {n}."),
        "to-settle": say("To be settled or mended: {n}. Open them in the list."),
        "troubled": say(
            "The node failed over: {n}. What was filled in waits here, to be sent again."
        ),
        "trouble": say(
            "The node failed over this form (answer {code}). It is sent again; if that fails as"
            " well, look through it and tell whoever runs the node."
        ),
        "kept": say("Kept on this device, to be sent."),
        "no-line": say("There is no connection to the node. What was filled in waits here."),
        "sign-in": say("Sign in to send: open the first page, then come back."),
        "unknown": say("The node does not know this device any more: take along anew, then send."),
        "others": say(
            "This device was enrolled by somebody else, or in another post: sign in as they are."
        ),
        "revoked": say("This device was revoked. Its keys and all that it held are destroyed."),
        "expired": say("The time is over: who was taken along is deleted from this device."),
        "refused": say("This did not work. What was filled in is kept."),
        "impossible": say(
            "This browser keeps no keys, or the address is not https: nothing can be taken along."
        ),
    }


def _of_forms(say: Say) -> dict[str, str]:
    return {
        "finish": say("Done: keep it to be sent"),
        "mend": say("Something is to be mended."),
        "node-checks": say(
            "Some rules, what is calculated, and what follows from the answers are worked out by"
            " the node when it is sent. A sign of danger does not wait for that."
        ),
        "left": say("is worked out when it is sent"),
        "yes": say("Yes"),
        "no": say("No"),
        "other": say("Other"),
        "unit": say("Unit"),
        "more": say("Add another:"),
        "less": say("Take this one away"),
        "needed": say("Fill this in."),
        "unreadable": say("This is not understood: write it as the hint or the field says."),
        "too-low": say("At least {limit}."),
        "too-high": say("At most {limit}."),
        "too-long": say("At most {limit} characters."),
        "too-few": say("At least {limit} are needed."),
        "too-many": say("At most {limit} may be given."),
        "too-precise": say("At most {limit} digits after the point."),
        "alone": say("One of these excludes the others."),
    }


def _of_conflicts(say: Say) -> dict[str, str]:
    return {
        "conflict-moved-on": say(
            "Something was recorded since this was taken along. Look at both."
        ),
        "conflict-expired": say("This was taken along too long ago. Look at what is recorded now."),
        "conflict-form-changed": say(
            "The form has changed: look through your answers in the new one."
        ),
        "conflict-not-assigned": say(
            "This person is not assigned to you any more, or the case is closed. Your answers stay"
            " here until you discard them."
        ),
        "both": say("Your answers beside those that were given last"),
        "question": say("Question"),
        "mine": say("Yours"),
        "theirs": say("Recorded"),
        "send-mine": say("Send mine all the same"),
        "change": say("Change mine"),
        "discard": say("Discard mine"),
        "discard-sure": say("What you filled in is deleted and cannot be brought back."),
    }


PAGES: Final[tuple[Page, ...]] = (contact, worker, manifest, shell)
