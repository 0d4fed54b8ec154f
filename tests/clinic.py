"""Two hospitals and a handful of invented people in a real store, and the node's pages over it.

One man is registered at both hospitals under one identity number (with one registration corrected
afterwards), so everything that pages must put together is here in the smallest form.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
from entrance import PASSWORD, quick_passwords
from ruling import brought_by, under
from starlette.applications import Starlette
from stores import IDENTITY_NUMBERS, bundle, open_context, open_guard, post
from workers import at_work

from quanmin.base.clock import Clock
from quanmin.base.epoch import Epoch
from quanmin.base.growing import Shelf
from quanmin.base.jobs import JobLimits, Worker
from quanmin.base.keys import FileKeys
from quanmin.base.signing import suite_named
from quanmin.base.spool import Spool
from quanmin.node.server import declared_plans
from quanmin.records.operation import Projection
from quanmin.trust import Actor, Actors, Guard
from quanmin.trust.due import Planned
from quanmin.trust.sign_in import Relying, SignIn, SignInLimits, cookie_name, present_code
from quanmin.trust.sign_in.external_settings import ExternalSettings
from quanmin.trust.signatures.papers import Papers
from quanmin.web import KitSettings, build
from quanmin.web.application import Installed, discover
from quanmin.web.house import House
from quanmin.web.making import making_kind

ADDRESS = "http://node.test"
MAN, WOMAN = "580101198005030031", "580101197211120021"
PHONE = "15400001234"
HOSPITALS = ("hospital-a", "hospital-b")
ACTORS = (
    Actor("centre", "operator", "县信息中心", "centre"),
    *(Actor(code, "institution", f"{code} desk", code) for code in HOSPITALS),
)


def with_check_digit(number: str) -> str:
    """The identity number with its last character made right (GB 11643)."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(digit) * weight for digit, weight in zip(number, weights, strict=False))
    return number[:17] + "10X98765432"[total % 11]


class Clinic:
    """The node's pages over a real store. `fill` gives it its people."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        folder: Path,
        origin: str = ADDRESS,
        external: ExternalSettings | None = None,
        beside: Sequence[Projection] = (),
        *,
        plans: Sequence[Planned] | None = None,
    ) -> None:
        """`plans` are those by which due lists are kept, None: those of all applications."""
        self.pool, self.folder = pool, folder
        keepers = declared_plans(ZoneInfo("Asia/Shanghai")) if plans is None else plans
        self.guard: Guard = under(
            open_guard(pool, open_context(folder), beside=beside, plans=keepers),
            brought=brought_by("quanmin.applications"),
        )
        self.actors = Actors(pool)
        self.revoked = Epoch()
        self.sign_in = SignIn(
            pool,
            self.guard.store.context.keys,
            self.guard.log,
            Clock().now,
            limits=SignInLimits(),
            passwords=quick_passwords(),
            relying=Relying("localhost", origin, "Clinic"),
            external=external,
            revoked=self.revoked,
        )
        self.papers = Papers(FileKeys(folder / "keys"), suite_named("international"))
        self.secrets: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        self.filled_at = 0

    async def fill(self) -> None:
        """Enrol the actors and store the people."""
        for actor in ACTORS:
            await self.add(actor)
        for hospital in HOSPITALS:
            await self._send(hospital, _hospital(hospital), "organization")
            await self._send(hospital, _man(hospital, self.ids), "man")
        await self._send("hospital-a", _crowd(self.ids), "crowd")
        await self._correct_name()
        person = await self.pool.fetchval("select person from people.link limit 1")
        resident = Actor("resident", "resident", "张伟", "", str(person))
        await self.add(resident)
        self.filled_at = self.guard.now()

    def go_on_from(self, filled: Clinic) -> None:
        """Be over a copy of the database and keys of one that was filled, at the same moment."""
        self.secrets, self.ids = dict(filled.secrets), dict(filled.ids)
        while self.guard.now() < filled.filled_at:
            pass

    async def add(self, actor: Actor) -> None:
        """An account of the actor's code with PASSWORD, and an authenticator."""
        accounts, totp = self.sign_in.accounts, self.sign_in.totp
        await accounts.accept(
            await accounts.add(
                actor.code, actor, document=f"passport:{actor.code}", real_name_level=2
            ),
            PASSWORD,
        )
        secret = self.secrets[actor.code] = totp.new_secret()
        await totp.add(actor.code, secret, present_code(secret, periods_ago=1))

    def pages(
        self, *, installed: tuple[Installed, ...] | None = None, **settings: Any
    ) -> Starlette:
        """The pages as an application of their own, of all applications or of these."""
        kit = self._kit(**settings)
        routes = build(self.guard, self.sign_in, kit, installed=installed, papers=self.papers)
        return Starlette(routes=routes)

    def _kit(self, **settings: Any) -> KitSettings:
        usual: dict[str, Any] = {
            "secret": b"p" * 32,
            "zone": ZoneInfo("Asia/Shanghai"),
            "is_fictional": True,
        }
        suite = self.guard.store.context.suite
        usual["uploads"] = Spool(self.folder / "uploads", b"s" * 32, suite, lambda: True)
        usual["made"] = Shelf(self.folder / "made", 24)
        return KitSettings(**{**usual, **settings})

    def making(self, **settings: Any) -> AbstractAsyncContextManager[Worker]:
        """A worker that makes the files that pages are asked for."""
        kit = self._kit(**settings)
        assert kit.made is not None
        house = House(self.guard, self.sign_in, kit, discover())
        limits = JobLimits(poll_seconds=0.1, turn_seconds=0.2, backoff_seconds=0.05)
        return at_work(
            Worker(self.pool, [making_kind(self.actors, kit.made, lambda: house)], limits)
        )

    async def session(self, code: str) -> str:
        """The cookie of a session in which this account has signed in with all it needs."""
        actors = await self.sign_in.actors.of_account(code)
        return await self.sign_in.sessions.begin(
            code, "whole", ("pwd", "otp", "mfa"), actor=actors[0], browser="test"
        )

    async def enter(self, code: str, pages: Starlette | None = None) -> Browser:
        """A browser in which this account has signed in."""
        browser = Browser(pages or self.pages())
        cookie = await self.session(code)
        browser.client.cookies.set(cookie_name(is_secure=False), cookie, domain="node.test")
        return browser

    async def walk_in(self, browser: Browser, code: str) -> httpx.Response:
        """Sign in by the pages, with PASSWORD and the account's authenticator."""
        await browser.get("/sign-in")
        await browser.send("/sign-in", name=code, password=PASSWORD)
        return await self.prove(browser, code)

    async def prove(self, browser: Browser, code: str) -> httpx.Response:
        """The second step of signing in, however often there was one in these thirty seconds."""
        await self.pool.execute("update trust.totp set last_step = 0 where account = $1", code)
        await browser.get("/sign-in/factor")
        return await browser.send("/sign-in/factor", code=present_code(self.secrets[code]))

    async def made(self, browser: Browser, path: str, **fields: str) -> httpx.Response:
        """The page of a file that a form asks for, once a worker has made it or has given it up."""
        await browser.get(path)
        begun = await browser.send(path, **fields)
        assert begun.status_code == 303, begun.text
        async with asyncio.timeout(30):
            while True:
                answer = await browser.get(begun.headers["location"])
                if "refresh" not in answer.headers:
                    return answer
                await asyncio.sleep(0.05)

    async def _send(self, sender: str, entries: list[dict[str, Any]], name: str) -> None:
        records = self.guard.records(
            Actor(sender, "institution", sender, sender), purpose="TREAT", request_id="fill"
        )
        _, outcomes = await records.bundle(bundle("transaction", *entries))
        first = outcomes[0].stored
        assert first is not None
        self.ids[f"{sender} {name}"] = first.id
        for outcome in outcomes:
            if outcome.stored is not None:
                self.ids.setdefault(f"{sender} {outcome.stored.type}", outcome.stored.id)

    async def _correct_name(self) -> None:
        records = self.guard.records(
            Actor("hospital-a", "institution", "a", "hospital-a"), purpose="TREAT", request_id="fix"
        )
        stored = await records.read("Patient", self.ids["hospital-a man"])
        assert stored.body is not None
        corrected = json.loads(stored.body) | {"maritalStatus": {"text": "已婚"}}
        await records.update("Patient", stored.id, json.dumps(corrected).encode())


class Browser:
    """A browser without script: keeps cookies, sends the form token of the page it is on."""

    def __init__(self, pages: Starlette, address: str = ADDRESS) -> None:
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(pages, raise_app_exceptions=False),
            base_url=address,
            headers={"Accept-Language": "en", "Origin": address},
        )
        self.token = self.form = ""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Open a page of the node."""
        return self.on(await self.client.get(path, headers=headers))

    async def send(self, path: str, **fields: str) -> httpx.Response:
        """Send a form of the page it is on."""
        own = {"~form": self.form} if self.form else {}
        fields = {"token": self.token, **own, **fields}
        return self.on(await self.client.post(path, data=fields))

    async def send_twice(self, path: str, **fields: str) -> list[httpx.Response]:
        """Click twice on the button of a form of the page it is on."""
        return await asyncio.gather(*(self.send(path, **fields) for _ in range(2)))

    async def add_authenticator(self) -> httpx.Response:
        """Add one, where whoever has none yet is sent to."""
        page = (await self.get("/account/factors")).text
        secret = re.findall(r"<code>([A-Z2-7]{32})</code>", page)[0]
        kept = re.findall(r'name="secret" value="([^"]+)"', page)[0]
        fields = {"what": "authenticator", "secret": kept, "code": present_code(secret)}
        return await self.send("/account/factors", **fields)

    def on(self, answer: httpx.Response) -> httpx.Response:
        """Be on the page that was answered."""
        found = re.search(r'name="token" value="([^"]+)"', answer.text)
        if found:
            form = re.search(r'name="~form" value="([^"]+)"', answer.text)
            self.token, self.form = found[1], form[1] if form else ""
        return answer


def _hospital(code: str) -> list[dict[str, Any]]:
    name = {"hospital-a": "青县人民医院", "hospital-b": "白市中心医院"}[code]
    return [_entry({"resourceType": "Organization", "name": name, "active": True})]


def _man(hospital: str, ids: dict[str, str]) -> list[dict[str, Any]]:
    organization = {"reference": f"Organization/{ids[f'{hospital} organization']}"}
    subject = {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"}
    year = {"hospital-a": "2024", "hospital-b": "2026"}[hospital]
    visit = {"reference": "urn:uuid:00000000-0000-4000-8000-000000000002"}
    about = {"subject": subject, "encounter": visit}
    entries = [
        _entry(
            _patient("张伟", "male", with_check_digit(MAN), organization, PHONE),
            subject["reference"],
        ),
        _entry(
            {
                "resourceType": "Encounter",
                "status": "finished",
                "class": {"system": f"{_HL7}/v3-ActCode", "code": "AMB"},
                "type": [{"text": "门诊就诊"}],
                "subject": subject,
                "period": {"start": f"{year}-03-05T09:00:00+08:00"},
                "serviceProvider": organization,
            },
            visit["reference"],
        ),
        _entry(
            {
                "resourceType": "Observation",
                "status": "final",
                "code": _coded("http://loinc.org", "2339-0", "空腹血糖"),
                **about,
                "effectiveDateTime": f"{year}-03-05T09:10:00+08:00",
                "valueQuantity": {"value": 11.5, "unit": "mmol/L"},
                "interpretation": [_coded(f"{_HL7}/v3-ObservationInterpretation", "H")],
            }
        ),
        _entry(
            {
                "resourceType": "Condition",
                "code": _coded("http://hl7.org/fhir/sid/icd-10", "E11.9", "2型糖尿病"),
                **about,
                "recordedDate": f"{year}-03-05",
            }
        ),
    ]
    if hospital == "hospital-b":
        status = _coded(
            "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active"
        )
        allergy = {"resourceType": "AllergyIntolerance", "code": {"text": "青霉素"}}
        allergy["clinicalStatus"] = status
        entries.append(_entry({**allergy, "patient": subject, "recordedDate": "2026-03-05"}))
    return entries


def _crowd(ids: dict[str, str]) -> list[dict[str, Any]]:
    organization = {"reference": f"Organization/{ids['hospital-a organization']}"}
    woman = _patient("欧阳明月", "female", with_check_digit(WOMAN), organization)
    crowd = [_patient(f"王{given}", "female", None, organization) for given in _GIVEN]
    return [_entry(woman), *map(_entry, crowd)]


_HL7 = "http://terminology.hl7.org/CodeSystem"
_GIVEN = "春夏秋冬梅兰竹菊琴棋书画诗酒花茶风雪月云山水江河湖海"


def _patient(
    name: str, gender: str, number: str | None, at: dict[str, str], phone: str | None = None
) -> dict[str, Any]:
    born = f"{number[6:10]}-{number[10:12]}-{number[12:14]}" if number else "1990-01-01"
    resource = {
        "resourceType": "Patient",
        "name": [{"text": name}],
        "gender": gender,
        "birthDate": born,
        "address": [{"city": "白市", "district": "青县"}],
        "managingOrganization": at,
    }
    if number:
        resource["identifier"] = [{"system": IDENTITY_NUMBERS, "value": number}]
    if phone:
        resource["telecom"] = [{"system": "phone", "value": phone}]
    return resource


def _coded(system: str, code: str, display: str | None = None) -> dict[str, Any]:
    coding = {"system": system, "code": code}
    return {"coding": [coding | ({"display": display} if display else {})]}


def _entry(resource: dict[str, Any], full_url: str | None = None) -> dict[str, Any]:
    return post(json.dumps(resource, ensure_ascii=False).encode(), full_url)
