"""Whether the time of an answer tells what the answer does not: an account from a name that is
none, a client from none, a record that is hidden from one that is absent.

python benchmarks/timing.py [--pairs 2000] [--sign-ins 100] [--only WORD]

Starts a node in a temporary folder. Of each case the two questions are asked in turn, in an order
that is drawn anew for each pair, over one connection and with nobody else on the node: what an
attacker on the same machine would see at best. Printed are the medians of both, the median of the
differences within pairs with bounds that hold but once in a thousand whatever the distribution, and
in how many of a hundred pairs the first is slower; 50 is a coin. Beside it stands the same for the
processor time of the worker, which what else the machine does leaves nearly alone. A case whose
times must differ stands beside them, so that the method is known to see it.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import os
import random
import re
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import httpx
import msgspec
from joserfc import jws
from joserfc.jwk import ECKey

KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FORM = "application/x-www-form-urlencoded"
WARM_UP = 30
DOUBT = 0.0005
PASSWORD = "a Sparrow sits on 7 wires"  # noqa: S105 - of an account that lives for minutes
SETTINGS = {
    "QUANMIN_DOOR_CLIENT_REQUESTS_PER_SECOND": "1000000",
    "QUANMIN_DOOR_CLIENT_BURST_REQUESTS": "1000000",
    "QUANMIN_DOOR_STRANGER_REQUESTS_PER_SECOND": "1000000",
    "QUANMIN_DOOR_STRANGER_BURST_REQUESTS": "1000000",
    "QUANMIN_SIGN_IN_ACCOUNT_FAILURES_MAX": "1000000",
    "QUANMIN_SIGN_IN_ADDRESS_FAILURES_MAX": "1000000",
    "QUANMIN_SIGN_IN_CROWD_FAILURES_MAX": "1000000",
    "QUANMIN_REGISTERS_POSTS_REQUIRED": "false",
    "QUANMIN_NODE_WORKERS": "1",
}
PATIENT = {"resourceType": "Patient", "name": [{"text": "张三"}], "birthDate": "1970-01-01"}

Question = Callable[[], bytes]


class Case(msgspec.Struct, frozen=True):
    """Two questions whose answers are alike; `is_seen` of the one whose times must differ."""

    name: str
    there: Question
    absent: Question
    pairs: int
    is_seen: bool = False


class Told(msgspec.Struct, frozen=True):
    """What was measured, in microseconds."""

    there: float
    absent: float
    difference: float
    low: float
    high: float
    slower: float
    work: float
    work_low: float
    work_high: float


class Line:
    """One connection, and how long each question over it takes."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, question: bytes) -> tuple[float, bytes]:
        """Microseconds until the answer is there, and its first line and body."""
        began = time.perf_counter_ns()
        self._socket.sendall(question)
        told = self._socket.recv(65536)
        took = (time.perf_counter_ns() - began) / 1000
        head, _, body = told.partition(b"\r\n\r\n")
        found = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        wanted = int(found[1]) if found else 0
        while len(body) < wanted:
            body += self._socket.recv(65536)
        return took, head.split(b"\r\n")[0] + body


def spent(process: int) -> float:
    """Microseconds of processor time that the threads of a process have used so far."""
    tasks = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(task.read_text("ascii").split()[0]) for task in tasks) / 1000


def measure(line: Line, case: Case, worker: int) -> Told:
    """Ask both in turn, so many pairs; ends the program when the answers are not alike."""
    both: list[tuple[float, float]] = []
    work: list[float] = []
    for at in range(case.pairs + WARM_UP):
        took: dict[bool, float] = {}
        answers: dict[bool, bytes] = {}
        used: dict[bool, float] = {}
        for is_there in random.sample((True, False), 2):
            question = case.there() if is_there else case.absent()
            before = spent(worker)
            took[is_there], answers[is_there] = line.ask(question)
            used[is_there] = spent(worker) - before
        if at == 0 and not case.is_seen and _bare(answers[True]) != _bare(answers[False]):
            raise SystemExit(f"{case.name}: the answers differ already: {answers}")
        if at >= WARM_UP:
            both.append((took[True], took[False]))
            work.append(used[True] - used[False])
    differences = sorted(there - absent for there, absent in both)
    work.sort()
    # The bounds are two of the differences: half of all lie above the true median.
    out = _extremes(len(differences))
    return Told(
        statistics.median(there for there, _ in both),
        statistics.median(absent for _, absent in both),
        statistics.median(differences),
        differences[out],
        differences[-1 - out],
        100 * sum(one > 0 for one in differences) / len(differences),
        statistics.median(work),
        work[out],
        work[-1 - out],
    )


def _bare(answer: bytes) -> bytes:
    """An answer without what no two share: sealed tokens, challenges, the name that was typed."""
    return re.sub(rb"[A-Za-z0-9_\-]{30,}|(there|none|absent)-[a-z0-9]+", b"", answer)


def _extremes(number: int) -> int:
    """How many may be left out at either side, so that the bounds fail once in a thousand."""
    chance, at = 0.5**number if number < 1000 else 0.0, 0
    if number >= 1000:
        return int(number / 2 - 3.2905 * math.sqrt(number) / 2)
    total = chance
    while total < DOUBT:
        at += 1
        chance *= (number - at + 1) / at
        total += chance
    return max(0, at - 1)


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A request as it goes over the line."""
    more = {"Host": "localhost", **headers}
    if body:
        more["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in more.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


class Bench:
    """The node, and the questions to it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._where = ["--directory", str(folder)]
        self._folder = folder
        self._environment = os.environ | SETTINGS | {"QUANMIN_NODE_PORT": str(port)}
        self.base = f"http://127.0.0.1:{port}"

    def run(self, *arguments: str) -> str:
        """One command of the node; gives what it says."""
        command = [sys.executable, "-m", "quanmin.node.commands", *arguments, *self._where]
        done = subprocess.run(  # noqa: S603 - this program's own command
            command, env=self._environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    def sign_in(self, pairs: int) -> list[Case]:
        """A wrong password for an account, one that is locked, and a name that is none."""
        for name in ("there-open", "there-shut"):
            added = ("account", "add", name, "--role", "institution", "--institution", "a")
            invitation = re.search(r"[2-9A-Z]{5}(-[2-9A-Z]{5}){3}", self.run(*added))
            if invitation is None:
                raise SystemExit("no invitation")
            with httpx.Client(base_url=self.base, headers={"Origin": self.base}) as client:
                token = _token(client.get("/invitation").text)
                fields = {"token": token, "code": invitation[0]}
                fields |= {"password": PASSWORD, "again": PASSWORD}
                client.post("/invitation", data=fields)
        self.run("account", "lock", "there-shut")
        with httpx.Client(base_url=self.base) as client:
            page = client.get("/sign-in")
            cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        token = _token(page.text)
        headers = {"Content-Type": FORM, "Cookie": cookie, "Origin": "http://localhost"}

        def ask(name: str, password: str = "wrong") -> Question:  # noqa: S107 - it is wrong
            fields = {"token": token, "name": name, "password": password}
            whole = request("POST", "/sign-in", headers, urlencode(fields).encode())
            return lambda: whole

        none = ask("none-open")
        return [
            Case("sign-in: an account, a wrong password", ask("there-open"), none, pairs),
            Case("sign-in: locked, the right one", ask("there-shut", PASSWORD), none, pairs),
        ]

    def token(self, pairs: int) -> list[Case]:
        """Assertions and secrets of clients that are registered and of those that are not."""
        own, other = ECKey.generate_key("P-384"), ECKey.generate_key("P-384")
        keys = self._folder / "jwks.json"
        keys.write_text(json.dumps({"keys": [{**own.as_dict(private=False), "kid": "one"}]}))
        add = ("client", "add")
        system = ("--grant", "client_credentials", "--sender", "a", "--scopes", "system/*.rs")
        self.run(*add, "there-keys", "--name", "Keys", *system, "--jwks", str(keys))
        grants = ("--grant", "authorization_code", "--redirect", "https://a.example/")
        self.run(*add, "there-hush", "--name", "Secret", *grants, "--scopes", "openid", "--secret")

        def assertion(code: str, kid: str) -> Question:
            def ask() -> bytes:
                claims = {"iss": code, "sub": code, "aud": f"{self.base}/oauth/token"}
                claims |= {"exp": int(time.time()) + 200, "jti": secrets.token_hex(16)}
                header = {"alg": "ES384", "kid": kid}
                signed = jws.serialize_compact(
                    header, json.dumps(claims).encode(), other, algorithms=["ES384"]
                )
                fields = {"grant_type": "client_credentials", "scope": "system/*.rs"}
                fields |= {"client_assertion_type": KIND, "client_assertion": signed}
                body = urlencode(fields).encode()
                return request("POST", "/oauth/token", {"Content-Type": FORM}, body)

            return ask

        def secret(code: str) -> Question:
            pair = base64.b64encode(f"{code}:{'x' * 43}".encode()).decode()
            headers = {"Content-Type": FORM, "Authorization": f"Basic {pair}"}
            body = urlencode({"grant_type": "refresh_token", "refresh_token": "x"}).encode()
            whole = request("POST", "/oauth/token", headers, body)
            return lambda: whole

        keyed, keyless = assertion("there-keys", "one"), assertion("none-keys", "one")
        strange = assertion("there-keys", "two")
        return [
            Case("token: a client, a key that is not its own", strange, keyless, pairs),
            Case("token: a client, the name of its key", keyed, keyless, pairs),
            Case(
                "token: a client, a wrong secret", secret("there-hush"), secret("none-hush"), pairs
            ),
        ]

    def read(self, pairs: int) -> list[Case]:
        """Records of another institution, asked for by id, by search and by history."""
        tokens = [
            self.run(
                *("account", "add", f"system-{code}", "--system", "--role", "institution"),
                *("--institution", code),
            ).strip()
            for code in ("a", "b")
        ]
        kind = {"Content-Type": "application/fhir+json"}
        ids = []
        with httpx.Client(base_url=f"{self.base}/fhir", headers=kind) as client:
            for token in (*tokens[1:] * 200, tokens[0]):
                mine = {"Authorization": f"Bearer {token}"}
                number = {"system": "urn:x", "value": f"there-{len(ids)}"}
                body = json.dumps(PATIENT | {"identifier": [number]})
                made = client.post("/Patient", content=body, headers=mine)
                ids.append(made.raise_for_status().json()["id"])
        headers = {"Authorization": f"Bearer {tokens[0]}"}
        hidden, own = ids[:-1], ids[-1]

        def ask(path: str, several: list[str]) -> Question:
            return lambda: request(
                "GET", f"/fhir/{path}".replace("{}", random.choice(several)), headers
            )

        # Ids in the form of the node's own that it has not given, as far from the last as these.
        absent = [_further(one) for one in hidden]
        named = [f"there-{at}" for at in range(len(hidden))]
        unnamed = [f"absent-{at}" for at in range(len(hidden))]
        by_number = "Patient?identifier=urn:x%7C{}&_elements=id"
        return [
            Case(
                "read: hidden, absent", ask("Patient/{}", hidden), ask("Patient/{}", absent), pairs
            ),
            Case(
                "history: hidden, absent",
                ask("Patient/{}/_history", hidden),
                ask("Patient/{}/_history", absent),
                pairs,
            ),
            Case(
                "search by number: hidden, absent",
                ask(by_number, named),
                ask(by_number, unnamed),
                pairs,
            ),
            Case(
                "read: one's own, absent (must differ)",
                ask("Patient/{}", [own]),
                ask("Patient/{}", absent),
                pairs,
                is_seen=True,
            ),
        ]


def _further(id_: str) -> str:
    """An id of the same form, some thousands on."""
    signs = "0123456789abcdefghijklmnopqrstuvwxyz"
    return id_[:-4] + "".join(random.choice(signs[:32]) for _ in range(2)) + id_[-2:]


def _token(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    if found is None:
        raise SystemExit("the page has no form")
    return found[1]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--sign-ins", type=int, default=100)
    parser.add_argument("--only", default="")
    parser.add_argument("--port", type=int, default=18_472)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="timing-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)  # the account of PostgreSQL passes through
        bench = Bench(Path(folder), options.port)
        bench.run("node", "start")
        try:
            cases = [*bench.sign_in(options.sign_ins), *bench.token(options.pairs)]
            cases += bench.read(options.pairs)
            line = Line(options.port)
            worker = json.loads((Path(folder) / "state.json").read_text())["workers"][0]
            print(
                "| | there, us | absent, us | difference, us | bounds | slower of 100"
                " | of the worker's time, us | bounds |"
            )
            print("|---|---:|---:|---:|---:|---:|---:|---:|")
            for case in cases:
                if options.only not in case.name:
                    continue
                told = measure(line, case, worker)
                bounds = f"{told.low:+.0f} to {told.high:+.0f}"
                work = f"{told.work:+.1f} | {told.work_low:+.0f} to {told.work_high:+.0f}"
                print(
                    f"| {case.name} ({case.pairs}) | {told.there:.0f} | {told.absent:.0f}"
                    f" | {told.difference:+.1f} | {bounds} | {told.slower:.0f} | {work} |",
                    flush=True,
                )
        finally:
            bench.run("node", "stop")


if __name__ == "__main__":
    main()
