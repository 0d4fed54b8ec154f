"""Severe mental disorders over the institutions of `reporting`: who is charged with them, and forms
as a browser sends them.
"""

from __future__ import annotations

import html
import re

import httpx
from books import Books
from clinic import Browser, Clinic
from reporting import now_of
from reporting import settle as settle_institutions

from quanmin.trust import Actor

OWN = "https://quanmin.example/fhir/CodeSystem"
DUTY = frozenset({"mental_health"})
KEEPER = Actor("mh-he", "public_health_worker", "何", "hospital-a")
COUNTY = Actor("mh-cao", "public_health_worker", "曹", "cdc-here")
ELSEWHERE = Actor("mh-yu", "public_health_worker", "余", "hospital-b")


async def settle(clinic: Clinic) -> Clinic:
    """The institutions with those charged with severe mental disorders."""
    await settle_institutions(clinic)
    await charge(clinic, KEEPER, COUNTY, ELSEWHERE)
    return clinic


async def charge(clinic: Clinic, *actors: Actor) -> None:
    """Accounts of these actors, with the duty."""
    books = Books(clinic.guard, clinic.pool)
    for actor in actors:
        await clinic.add(actor)
        await books.appoint(actor.code, duties=DUTY)


def said(page: httpx.Response) -> str:
    """The words of a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


def day(clinic: Clinic) -> str:
    return f"{now_of(clinic):%Y-%m-%d}"


async def fill(browser: Browser, where: str, **fields: str) -> httpx.Response:
    opened = await browser.get(where)
    assert opened.status_code == 200, opened.text
    return await browser.send(where, **{"do": "send", **fields})


async def register(
    clinic: Clinic, browser: Browser, *, patient: str = "", **more: str
) -> httpx.Response:
    """Send the form of a registration, of the man of the clinic or of another Patient."""
    return await fill(
        browser,
        f"/mental-health/of/{patient or clinic.ids['hospital-a Patient']}/register",
        **{
            "disorder": f"{OWN}/severe-mental-disorder|schizophrenia",
            "diagnosed": day(clinic),
            "hospital": "青市第四人民医院",
            "consent": f"{OWN}/mental-consent|guardian",
            "harm": f"{OWN}/mental-yes-no|no",
            "guardian": "张大",
            "guardian-relation": "父",
            "guardian-phone": "15400005678",
            "township": "青镇",
            **more,
        },
    )


async def visit(
    clinic: Clinic, browser: Browser, grade: str, *, patient: str = "", **more: str
) -> httpx.Response:
    """Send the form of a visit on which nothing but the grade is bad."""
    chosen = {
        "way": "mental-visit-way|home",
        "grade": f"mental-danger|{grade}",
        "symptoms": "mental-symptoms|gone",
        "insight": "mental-insight|whole",
        "lock-up": "mental-lock-up|never",
        "stay": "mental-stay|never",
        "taking": "mental-taking|regular",
        "reaction": "mental-severity|none",
        "illness": "mental-severity|none",
        "examined": "mental-yes-no|yes",
        **dict.fromkeys(
            ("care", "housework", "work", "learning", "contact"), "mental-function|good"
        ),
    }
    return await fill(
        browser,
        f"/mental-health/of/{patient or clinic.ids['hospital-a Patient']}/visit",
        **{
            "on": day(clinic),
            **{link: f"{OWN}/{code}" for link, code in chosen.items()},
            **more,
        },
    )
