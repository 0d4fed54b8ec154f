"""Sends a province to a running node through its front door, and can be stopped and started
again at any moment.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

import httpx
import msgspec
import orjson

from quanmin.base.problems import Conflict, Invalid, Overloaded, Unauthenticated
from quanmin.demo.province import Province
from quanmin.demo.sheet import DemoBundle
from quanmin.demo.tables import SYSTEMS

_JSON = "application/fhir+json"
_BUSY = {408, 409, 425, 429, 500, 502, 503, 504}
_PART = re.compile(r"(\d{6})-(\d+)-(\d+)")
_MARKS_A_PAGE = 1000


class Pace(msgspec.Struct, frozen=True):
    """How hard the node is pressed, and how long a silent one is waited for."""

    at_once: int = 4
    wait_seconds_least: float = 0.001
    wait_seconds_first: float = 0.2
    wait_seconds_max: float = 10.0
    silence_seconds_max: float = 180.0
    answer_seconds_max: float = 300.0


class Posted(msgspec.Struct):
    """What a run did: bundles and resources stored now, and bundles found stored already."""

    bundles: int = 0
    resources: int = 0
    found: int = 0


class Step(msgspec.Struct, frozen=True):
    """How far a run is: of `total` steps `done`, and the resources stored so far."""

    done: int
    total: int
    resources: int


class Poster:
    """Sends bundles for many senders. `tokens` has a bearer token for each of the province's
    senders.
    """

    def __init__(
        self,
        address: str,
        tokens: Mapping[str, str],
        province: Province,
        report: Callable[[Step], None] = lambda _: None,
        *,
        pace: Pace | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        missing = [sender.code for sender in province.senders() if sender.code not in tokens]
        if missing:
            raise Unauthenticated(
                f"no token for {', '.join(missing)}: enrol every sender of the province first"
            )
        self._base = f"{address.rstrip('/')}/fhir"
        self._tokens = tokens
        self._province = province
        self._report = report
        self._pace = pace or Pace()
        self._transport = transport
        self._posted = Posted()
        self._steps = 0
        self._total = 0

    async def post(self) -> Posted:
        """Sends what the node has not stored yet: institutions first, then the households.

        Raises Overloaded when the node stays silent or full for too long, Invalid when it refuses
        a bundle. What is stored stays; the same call goes on from there.
        """
        waiting = httpx.Timeout(self._pace.answer_seconds_max, connect=10.0)
        bounds = httpx.Limits(max_connections=self._pace.at_once)
        async with httpx.AsyncClient(
            timeout=waiting, limits=bounds, transport=self._transport
        ) as client:
            marks = await self._read_marks(client)
            places = self._province.places().keys()
            parts = self._household_marks(marks)
            self._posted.found = len(places & marks) + len(parts)
            self._total = len(places - marks) + self._province.household_count
            await self._send_all(client, ([one] for one in self._province.institutions(marks)))
            is_whole = _whole_households(parts)
            await self._send_all(client, self._left(marks, is_whole))
        return self._posted

    def _household_marks(self, marks: Iterable[str]) -> list[re.Match[str]]:
        """The marks of this province's own households, taken apart."""
        prefix = self._province.marker_prefix
        taken = (_PART.fullmatch(mark.removeprefix(prefix)) for mark in marks if prefix in mark)
        last = self._province.household_count
        return [part for part in taken if part is not None and int(part[1]) < last]

    def _left(self, marks: set[str], is_whole: Callable[[int], bool]) -> Iterator[list[DemoBundle]]:
        for bundles in self._province.bundles(is_whole):
            yield [bundle for bundle in bundles if bundle.key not in marks]

    async def _read_marks(self, client: httpx.AsyncClient) -> set[str]:
        """The keys of all demo bundles that this node holds, asked of each sender for its own."""
        marks: set[str] = set()
        for sender in self._province.senders():
            terms = f"code={SYSTEMS.marker}|demo-bundle&_count={_MARKS_A_PAGE}&_elements=code"
            address: str | None = f"{self._base}/Basic?{terms}"
            while address is not None:
                answer = await self._ask(client, "GET", address, sender.code)
                page = orjson.loads(_need_success(answer).content)
                marks.update(entry["resource"]["id"] for entry in page.get("entry", ()))
                links = page.get("link", ())
                address = next((link["url"] for link in links if link["relation"] == "next"), None)
        return marks

    async def _send_all(
        self, client: httpx.AsyncClient, groups: Iterable[list[DemoBundle]]
    ) -> None:
        """Sends groups several at a time; the bundles of one group in turn, since they share
        patients.
        """
        shared = iter(groups)

        async def work() -> None:
            for bundles in shared:
                for bundle in bundles:
                    await self._send(client, bundle)
                self._steps += 1
                self._report(Step(self._steps, self._total, self._posted.resources))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._pace.at_once):
                    group.create_task(work())
        except ExceptionGroup as several:
            raise several.exceptions[0] from several

    async def _send(self, client: httpx.AsyncClient, bundle: DemoBundle) -> None:
        answer = await self._ask(client, "POST", self._base, bundle.sender, bundle.body)
        if answer.status_code == httpx.codes.PRECONDITION_FAILED:
            # Stored by an earlier run whose answer was lost: the mark tells this from any other
            # conflict.
            mark = await self._ask(client, "GET", f"{self._base}/Basic/{bundle.key}", bundle.sender)
            if mark.status_code != httpx.codes.OK:
                raise Conflict(f"the node refuses bundle {bundle.key}: {_reason(answer)}")
            self._posted.found += 1
            return
        _need_success(answer, bundle.key)
        self._posted.bundles += 1
        self._posted.resources += bundle.resources

    async def _ask(
        self,
        client: httpx.AsyncClient,
        method: str,
        address: str,
        sender: str,
        body: bytes | None = None,
    ) -> httpx.Response:
        """The answer to a request; a busy or silent node is asked again, as late as it wishes."""
        headers = {
            "Authorization": f"Bearer {self._tokens[sender]}",
            "Accept": _JSON,
            "Prefer": "return=minimal",
        }
        if body is not None:
            headers["Content-Type"] = _JSON
        pause, waited = self._pace.wait_seconds_first, 0.0
        while True:
            reason = "does not answer"
            try:
                answer = await client.request(method, address, content=body, headers=headers)
                if answer.status_code not in _BUSY:
                    return answer
                reason = f"answers {answer.status_code} ({_reason(answer)})"
                wait = max(pause, _wished_wait(answer))
            except httpx.TransportError:
                wait = pause
            if waited >= self._pace.silence_seconds_max:
                raise Overloaded(
                    f"the node at {self._base} {reason}; run the same command again:"
                    " it goes on where it stopped"
                )
            await asyncio.sleep(min(wait, self._pace.wait_seconds_max))
            waited += max(wait, self._pace.wait_seconds_least)
            pause = min(pause * 2, self._pace.wait_seconds_max)


def _wished_wait(answer: httpx.Response) -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0


def _need_success(
    answer: httpx.Response, what: str = "the question for what is stored"
) -> httpx.Response:
    if answer.is_success:
        return answer
    if answer.status_code in {401, 403}:
        raise Unauthenticated(f"the node does not accept a sender's token: {_reason(answer)}")
    raise Invalid(f"the node refuses {what} with {answer.status_code}: {_reason(answer)}")


def _reason(answer: httpx.Response) -> str:
    """The first issue of an OperationOutcome, or what else the node says in few words."""
    try:
        issue = orjson.loads(answer.content)["issue"][0]
        said = (
            issue.get("diagnostics")
            or issue.get("details", {}).get("text")
            or issue.get("code", "")
        )
        where = ", ".join(issue.get("expression", ()))
        return f"{said} {where}".strip()
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError):
        return answer.reason_phrase


def _whole_households(parts: Iterable[re.Match[str]]) -> Callable[[int], bool]:
    """Which households are complete, told from the keys alone: they say how many bundles there
    are.
    """
    seen: dict[int, int] = defaultdict(int)
    needed: dict[int, int] = {}
    for part in parts:
        number = int(part[1])
        seen[number] += 1
        needed[number] = int(part[3])
    whole = {number for number, count in seen.items() if count >= needed[number]}
    return whole.__contains__
