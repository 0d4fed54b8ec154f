"""The pages that are asked for, each as its own visitors ask for it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import httpx
import msgspec
from generator import HOST
from node_under_test import NodeUnderTest

from pages.visitors import Crowd, Visitor

REQUESTS = 160
Draw = Callable[[random.Random], bytes]


class Asked(msgspec.Struct, frozen=True):
    """A page by its name, and how one request for it is drawn."""

    name: str
    draw: Draw

    def requests(self, number: int) -> tuple[bytes, ...]:
        """So many requests, the same for the same crowd."""
        dice = random.Random(self.name)
        return tuple(self.draw(dice) for _ in range(number))


def pages_of(node: NodeUnderTest, crowd: Crowd) -> list[Asked]:
    """Every page that is measured."""
    return [
        *_of_residents(crowd),
        *_of_doctors(crowd, _names(node)),
        *_of_the_centre(crowd),
        *_of_prevention(crowd),
        *(Asked(f"{_who(code)}: first page", _just(one, "/")) for code, one in crowd.staff.items()),
        *_homes(crowd),
    ]


def _of_residents(crowd: Crowd) -> Iterator[Asked]:
    def own(make: Callable[[str], str]) -> Draw:
        def draw(dice: random.Random) -> bytes:
            one = dice.choice(crowd.residents)
            return one.visitor.get(make(one.patient))

        return draw

    def result(dice: random.Random) -> bytes:
        one = dice.choice([one for one in crowd.residents if one.results])
        return one.visitor.get(f"/result/{dice.choice(one.results)}")

    yield Asked("resident: first page", own(lambda _: "/"))
    yield Asked("resident: front page of the record", own(lambda id_: f"/person/{id_}"))
    yield Asked("resident: timeline", own(lambda id_: f"/person/{id_}/timeline"))
    yield Asked("resident: results", own(lambda id_: f"/person/{id_}/results"))
    yield Asked("resident: a result with its trend", result)
    yield Asked("resident: who may look", own(lambda _: "/my-record-access"))
    yield Asked("resident: who looked", own(lambda _: "/my-record-access/looked"))
    yield Asked("resident: notices", own(lambda _: "/notices"))
    yield Asked("resident: own vaccination", own(lambda id_: f"/vaccination/of/{id_}"))


def _of_doctors(crowd: Crowd, names: list[str]) -> Iterator[Asked]:
    doctor = crowd.staff["demo-doctor"]

    def of(ids: tuple[str, ...], tail: str = "") -> Draw:
        return lambda dice: doctor.get(f"/person/{dice.choice(ids)}{tail}")

    def named(dice: random.Random) -> bytes:
        sent = {"term": dice.choice(names), "token": doctor.token}
        return doctor.post("/people", urlencode(sent).encode())

    cases = re.findall(r'href="(/chronic/case/[^"/?]+)"', doctor.read("/chronic/patients"))
    yield Asked("doctor: a person across institutions", of(crowd.several))
    yield Asked("doctor: a person across institutions, timeline", of(crowd.several, "/timeline"))
    yield Asked("doctor: a person across institutions, results", of(crowd.several, "/results"))
    yield Asked("doctor: any person of the hospital", of(crowd.registered))
    yield Asked("doctor: list of persons by name", named)
    yield Asked("doctor: who is followed up", _just(doctor, "/chronic/patients"))
    yield Asked("doctor: who is referred", _just(doctor, "/chronic/patients?state=referred"))
    yield Asked("doctor: a case", lambda dice: doctor.get(dice.choice(cases)))
    yield Asked("doctor: form of a visit", lambda dice: doctor.get(f"{dice.choice(cases)}/visit"))
    yield Asked("doctor: who is due for a visit", _just(doctor, "/chronic/due"))
    yield Asked("doctor: rates of a year", _just(doctor, "/chronic/rates"))


def _of_the_centre(crowd: Crowd) -> Iterator[Asked]:
    """The operator sees all that anybody has sent."""
    centre = crowd.staff["demo-centre"]

    def of(tail: str) -> Draw:
        return lambda dice: centre.get(f"/person/{dice.choice(crowd.many).patient}{tail}")

    def result(dice: random.Random) -> bytes:
        one = dice.choice([one for one in crowd.many if one.results])
        return centre.get(f"/result/{dice.choice(one.results)}")

    yield Asked("centre: a person across institutions", of(""))
    yield Asked("centre: timeline", of("/timeline"))
    yield Asked("centre: results", of("/results"))
    yield Asked("centre: a result with its trend", result)


def _of_prevention(crowd: Crowd) -> Iterator[Asked]:
    worker = crowd.staff["demo-prevention"]
    first = worker.read("/vaccination/due")
    children = re.findall(r'href="(/vaccination/of/[^"/?]+)"', first)
    more = re.search(r'href="(/vaccination/due\?[^"]*from=[^"]+)"', first)
    yield Asked("prevention: who is due, first page", _just(worker, "/vaccination/due"))
    if more is not None:
        path = more[1].replace("&amp;", "&")
        yield Asked("prevention: who is due, second page", _just(worker, path))
    late = "/vaccination/due?status=overdue"
    yield Asked("prevention: who is overdue", _just(worker, late))
    narrowed = "/vaccination/due?series=mmr&since=2026-06-01"
    yield Asked("prevention: who is due, narrowed", _just(worker, narrowed))
    yield Asked("prevention: a child", lambda dice: worker.get(dice.choice(children)))
    yield Asked("prevention: cards of infections", _just(worker, "/infectious"))
    yield Asked("prevention: epidemic picture", _just(worker, "/epidemic"))


def _homes(crowd: Crowd) -> Iterator[Asked]:
    """The first page of every application that somebody's menu offers, once each."""
    seen = set[str]()
    for code, visitor in crowd.staff.items():
        for path in sorted(
            set(re.findall(r'<a href="(/[a-z_/-]+)"', visitor.read("/applications")))
        ):
            if path in seen or not _answers(visitor, path):
                continue
            seen.add(path)
            yield Asked(f"{_who(code)}: {path}", _just(visitor, path))


def _answers(visitor: Visitor, path: str) -> bool:
    address = f"http://{HOST}:{visitor.port}{path}"
    return httpx.get(address, headers={"cookie": visitor.cookie}, timeout=120).status_code == 200


def _just(visitor: Visitor, path: str) -> Draw:
    return lambda _: visitor.get(path)


def _who(code: str) -> str:
    return code.removeprefix("demo-")


def _names(node: NodeUnderTest) -> list[str]:
    """Names of persons of the county, as somebody types them."""
    headers = {"authorization": f"Bearer {node.token('demo-hospital-1')}"}
    address = f"http://{HOST}:{node.port}/fhir/Patient?_count=200&_elements=name"
    found = httpx.get(address, headers=headers, timeout=120).raise_for_status().json()["entry"]
    return [one["resource"]["name"][0]["text"] for one in found]
