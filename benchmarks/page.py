"""The pages a person uses first: find somebody by name, and read their record."""

from __future__ import annotations

import random
import re
from typing import Any
from urllib.parse import urlencode

import generator
import httpx
import searches
from figures import Figure, percentile
from generator import HOST
from node_under_test import Bench

from quanmin.trust.sign_in import present_code

CONNECTIONS = 4
_REQUESTS = 300


def measure(bench: Bench) -> list[Figure]:
    """Server side: from the request to the last byte of the page, without the browser's work."""
    node, port = bench.node, bench.node.port
    token = node.token("operator")
    facts = searches.Facts(bench, token)
    cookie, mark, size = _sign_in(bench)
    dice = random.Random(bench.seed)
    headers = f"cookie: {cookie}\r\norigin: http://{HOST}:{port}\r\n"
    bench.say("finding people by name on the page")
    names = [
        name.get("text") or name["family"]
        for name in (dice.choice(facts.patients)["name"][0] for _ in range(_REQUESTS))
    ]
    find = tuple(
        generator.post(
            port,
            "/people",
            headers,
            "application/x-www-form-urlencoded",
            urlencode({"term": name, "token": mark}).encode(),
        )
        for name in names
    )
    bench.say("opening records")
    # What somebody was asked is no result.
    observed = [
        str(one["id"])
        for one in facts.quantities
        if _category(one) in {"laboratory", "vital-signs"}
    ]
    pages = {
        "front_page": [f"/person/{facts.patient()}" for _ in range(_REQUESTS)],
        "timeline": [f"/person/{facts.patient()}/timeline" for _ in range(_REQUESTS)],
        "results": [f"/person/{facts.patient()}/results" for _ in range(_REQUESTS)],
        "result": [f"/result/{dice.choice(observed)}" for _ in range(_REQUESTS)],
    }
    figures = _measured(bench, find, "find_by_name")
    for name, paths in pages.items():
        requests = tuple(
            f"GET {path} HTTP/1.1\r\nhost: {HOST}:{port}\r\n{headers}\r\n".encode()
            for path in paths
        )
        figures += _measured(bench, requests, name)
    return [
        *figures,
        Figure(
            "page.first_view",
            round(size / 1024, 1),
            "KiB",
            "the first page with its style and script",
        ),
    ]


def _sign_in(bench: Bench) -> tuple[str, str, int]:
    """Sign in as a person does; the cookies, what forms must carry, and the first page's bytes."""
    port = bench.node.port
    invitation = bench.node.invite(f"bench-{random.SystemRandom().randrange(1 << 32):x}")
    with httpx.Client(base_url=f"http://{HOST}:{port}", follow_redirects=True) as client:

        def send(path: str, page: httpx.Response, **fields: str) -> httpx.Response:
            origin = {"origin": f"http://{HOST}:{port}"}
            fields |= {"token": _form_token(page.text)}
            return client.post(path, data=fields, headers=origin).raise_for_status()

        password = "many words that are long enough to be taken"  # noqa: S105 - invented, of nobody
        told = {"code": invitation, "password": password, "again": password}
        page = send("/invitation", client.get("/invitation"), **told)
        secret = re.findall(r"<code>([A-Z2-7]{32})</code>", page.text)[0]
        kept = re.findall(r'name="secret" value="([^"]+)"', page.text)[0]
        told = {"what": "authenticator", "secret": kept, "code": present_code(secret)}
        send("/account/factors", page, **told)
        home = client.get("/")
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        parts = re.findall(r'(?:href|src)="(/[^"]+[.](?:css|js|svg)[^"]*)"', home.text)
        size = len(home.content) + sum(len(client.get(part).content) for part in set(parts))
        return cookie, _form_token(home.text), size


def _form_token(text: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', text)
    if found is None:
        raise SystemExit("the page has no form: has it been signed in?")
    return found[1]


def _category(observation: dict[str, Any]) -> str:
    return str(observation["category"][0]["coding"][0]["code"])


def _measured(bench: Bench, requests: tuple[bytes, ...], name: str) -> list[Figure]:
    port = bench.node.port
    generator.fire(generator.Plan(port, requests[:10], CONNECTIONS)).require(200)
    before = bench.node.used()
    report = generator.fire(generator.Plan(port, requests, CONNECTIONS))
    report.require(200)
    spent, count = bench.node.used().since(before), len(requests)
    return [
        Figure(f"page.p50.{name}", round(percentile(report.latencies, 0.5), 1), "ms"),
        Figure(f"page.p95.{name}", round(percentile(report.latencies, 0.95), 1), "ms"),
        Figure(f"page.cpu_python.{name}", round(spent.python / count * 1000, 1), "ms/page"),
        Figure(f"page.cpu_postgres.{name}", round(spent.postgres / count * 1000, 1), "ms/page"),
    ]
