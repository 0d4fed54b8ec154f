"""Who asks for pages: residents with records, and the staff of the demonstration, signed in."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import generator
import httpx
import msgspec
from generator import HOST
from node_under_test import NodeUnderTest

from quanmin.demo.institutions import secondary
from quanmin.demo.tables import INSTITUTIONS
from quanmin.fhir.grammar import parse_query
from quanmin.fhir.table import load_table
from quanmin.node.demo_actors import HOSPITALS
from quanmin.node.first_actors import OPERATOR
from quanmin.node.reach import reached_database
from quanmin.node.server import Node, open_node
from quanmin.records.rid import id_of
from quanmin.trust import Actor
from quanmin.trust.registers import Posts
from quanmin.trust.registers.licensing import licence_rule
from quanmin.trust.sign_in import cookie_name

T = TypeVar("T")
RESIDENTS = 30
STAFF = ("demo-doctor", "demo-prevention", "demo-clerk", "demo-centre", "demo-security")
# The demonstration's doctor is at a hospital of a city, this one at that of a county, which has a
# centre to which cards go.
COUNTY_DOCTOR = Actor("bench-doctor", "doctor", HOSPITALS[1].name, HOSPITALS[1].sender)
_SAMPLE = 40
_RESULTS_EACH = 20
_DAY = 86_400_000_000
# Whole pages of rows at random: persons of every part of the node, those with more records oftener.
# Who is no resident may be known by no number.
_OF_MANY = """
    select r.patient, l.person from (
        select distinct patient from (
            select patient from records.record tablesample system ($1) repeatable (1)
            where type = $2 and patient is not null limit 4000) s) r
    left join people.link l on l.patient = r.patient
    where l.person is not null or not $3 order by md5(r.patient::text) limit $4
"""
_SHARE = """
    select least(100, 400000 / greatest(reltuples, 1)) from pg_class
    where oid = format('records.record_%s', $1::text)::regclass
"""
_REGISTERED = """
    select p.rid from (
        select r.rid from records.record r where r.type = $1 and r.sender = $2 and r.flags & 1 = 0
            and r.rid > 0 order by r.rid desc limit 20000) p
    order by md5(p.rid::text) limit $3
"""
_SEVERAL = """
    select v.patient from (
        select patient, count(*) as number from records.record
        where sender = $1 and type = $2 group by patient order by 2 desc limit 2000) v
    join people.link l on l.patient = v.patient
    where exists (select from people.link o join records.record q on q.rid = o.patient
        and q.type = $3 where o.person = l.person and o.patient <> v.patient and q.sender <> $1)
    order by md5(v.patient::text) limit $4
"""
_SENDER = "select sender from records.sender where code = $1"


class Visitor(msgspec.Struct, frozen=True):
    """Somebody signed in: the headers of their requests, and what their forms must carry."""

    port: int
    cookie: str
    token: str

    def get(self, path: str) -> bytes:
        """A request for a page, ready to send."""
        head = f"GET {path} HTTP/1.1\r\nhost: {HOST}:{self.port}\r\n{self._headers}\r\n"
        return head.encode()

    def post(self, path: str, body: bytes) -> bytes:
        """A form, ready to send."""
        kind = "application/x-www-form-urlencoded"
        return generator.post(self.port, path, self._headers, kind, body)

    def read(self, path: str) -> str:
        """A page now."""
        headers = {"cookie": self.cookie}
        answer = httpx.get(f"http://{HOST}:{self.port}{path}", headers=headers, timeout=120)
        return answer.raise_for_status().text

    @property
    def _headers(self) -> str:
        return f"cookie: {self.cookie}\r\norigin: http://{HOST}:{self.port}\r\n"


class Resident(msgspec.Struct, frozen=True):
    """A resident, one of the registrations they are by, and some of their results."""

    visitor: Visitor
    patient: str
    results: tuple[str, ...]


class Crowd(msgspec.Struct, frozen=True):
    """All who ask, and of whom: of `several` more than one institution has records, `registered`
    are of the hospital of the staff, `of_county` of that of the doctor of the county, `many`
    anywhere in the node.
    """

    residents: tuple[Resident, ...]
    staff: dict[str, Visitor]
    several: tuple[str, ...]
    registered: tuple[str, ...]
    of_county: tuple[str, ...]
    many: tuple[Resident, ...]


def gather(node: NodeUnderTest) -> Crowd:
    """Sign everybody in; residents are made once and found again."""
    types = load_table().types
    patients, encounters = types["Patient"].number, types["Encounter"].number

    async def drawn(connection: Any) -> tuple[list[Any], ...]:
        sender, second = [await connection.fetchval(_SENDER, one.sender) for one in HOSPITALS]
        found = []
        for type_, is_linked in (("Observation", True), ("Encounter", False)):
            share = await connection.fetchval(_SHARE, type_.lower())
            asked = (share, types[type_].number, is_linked, RESIDENTS)
            found.append(await connection.fetch(_OF_MANY, *asked))
        several = await connection.fetch(_SEVERAL, sender, encounters, patients, _SAMPLE)
        registered = await connection.fetch(_REGISTERED, patients, sender, _SAMPLE * 10)
        county = await connection.fetch(_REGISTERED, patients, second, _SAMPLE * 10)
        return *found, *([row[0] for row in rows] for rows in (several, registered, county))

    residents, many, several, registered, of_county = node.ask(drawn)
    prefix = node.settings.node.id_prefix
    persons = [str(row["person"]) for row in residents]
    cookies = _opened(node, lambda opened: _sign_in(opened, persons))
    name, port = cookie_name(is_secure=False), node.port
    visitors = {code: _visitor(port, f"{name}={cookie}") for code, cookie in cookies.items()}
    centre = visitors["demo-centre"]

    def met(visitor: Visitor, row: Any) -> Resident:
        patient = id_of(row["patient"], prefix)
        return Resident(visitor, patient, _results(centre, patient))

    return Crowd(
        tuple(met(visitors[_code(str(row["person"]))], row) for row in residents),
        {code: visitors[code] for code in (*STAFF, COUNTY_DOCTOR.code)},
        tuple(id_of(rid, prefix) for rid in several),
        tuple(id_of(rid, prefix) for rid in registered),
        tuple(id_of(rid, prefix) for rid in of_county),
        tuple(met(centre, row) for row in many),
    )


def _opened(node: NodeUnderTest, work: Callable[[Node], Awaitable[T]]) -> T:
    async def done(dsn: str) -> T:
        async with open_node(node.settings, dsn, connections_max=2) as opened:
            return await work(opened)

    with reached_database(node.settings) as dsn:
        return asyncio.run(done(dsn))


async def _sign_in(node: Node, persons: Sequence[str]) -> dict[str, str]:
    """The cookies of new sessions, by account, begun as if all had been proved."""
    accounts, actors = node.sign_in.accounts, node.sign_in.actors
    for person in persons:
        code = _code(person)
        if await accounts.find(code) is None:
            actor = Actor(code, "resident", "Resident", "", person)
            await accounts.add(code, actor, document=f"benchmark:{code}", real_name_level=2)
    if await accounts.find(COUNTY_DOCTOR.code) is None:
        await accounts.add(
            COUNTY_DOCTOR.code, COUNTY_DOCTOR, document="benchmark:doctor", real_name_level=2
        )
    if not await Posts(node.pool).history(COUNTY_DOCTOR.code):
        await _appoint(node)
    codes = [*STAFF, COUNTY_DOCTOR.code, *map(_code, persons)]
    cookies = {}
    for code in codes:
        found = await actors.of_account(code)
        cookies[code] = await node.sign_in.sessions.begin(
            code, "whole", ("pwd", "otp", "mfa"), actor=found[0], browser="benchmark"
        )
    return cookies


async def _appoint(node: Node) -> None:
    """The post of the doctor of the county: as the first of the hospital's staff."""
    own = next(one for one in INSTITUTIONS.own_senders if one.code == COUNTY_DOCTOR.sender)
    staff = secondary(own.division).staff[0]
    asked: list[Any] = [("identifier", f"{licence_rule().address.staff}|{staff.number}")]
    settings = node.settings
    query = parse_query(
        "Practitioner", asked, strict=True, zone=settings.zone, limits=settings.search
    )
    records = node.guard.records(OPERATOR, purpose="HSYSADMIN", request_id="benchmark")
    found = (await records.search(query)).matches[0]
    now = node.guard.now()
    await Posts(node.pool).appoint(
        COUNTY_DOCTOR.code, practitioner=found.rid, since=now - _DAY, at=now, by="benchmark"
    )


def _code(person: str) -> str:
    return f"bench-resident-{person}"


def _visitor(port: int, cookie: str) -> Visitor:
    answer = httpx.get(f"http://{HOST}:{port}/", headers={"cookie": cookie}, timeout=120)
    found = re.search(r'name="token" value="([^"]+)"', answer.raise_for_status().text)
    if found is None:
        raise SystemExit("the first page has no form: is anybody signed in?")
    return Visitor(port, cookie, found[1])


def _results(centre: Visitor, patient: str) -> tuple[str, ...]:
    page = centre.read(f"/person/{patient}/results")
    found = dict.fromkeys(re.findall(r'href="/result/([A-Za-z0-9.-]+)', page))
    return tuple(found)[:_RESULTS_EACH]
