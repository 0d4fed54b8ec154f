"""How many access tokens a second a node gives to backend services, each for an assertion of its
own signed by ES384.

python benchmarks/tokens.py [--seconds 15] [--processes 2]

Starts a node in a temporary folder. The assertions are signed beforehand: signing is the clients'
work, and they have processors of their own. The processes that ask share the machine with the node;
what the node itself used is told beside.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from joserfc import jws
from joserfc.jwk import ECKey

CONNECTIONS = 8
KIND = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def forms(key: ECKey, audience: str, number: int) -> list[bytes]:
    """So many requests for a token, each good for once."""
    header = {"alg": "ES384", "kid": "one", "typ": "JWT"}
    made = []
    for _ in range(number):
        claims = {
            "iss": "bench",
            "sub": "bench",
            "aud": audience,
            "exp": int(time.time()) + 280,
            "jti": secrets.token_hex(16),
        }
        assertion = jws.serialize_compact(
            header, json.dumps(claims).encode(), key, algorithms=["ES384"]
        )
        fields = {
            "grant_type": "client_credentials",
            "scope": "system/*.rs",
            "client_assertion_type": KIND,
            "client_assertion": assertion,
        }
        made.append(urlencode(fields).encode())
    return made


def ask(port: int, several: list[bytes], seconds: float, done: multiprocessing.Queue) -> None:
    """Ask on some connections at once until the time is over; tell how many were given, and how
    long each took.
    """
    import asyncio  # noqa: PLC0415 - in the process that needs it

    async def one(waits: list[float]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while several and time.perf_counter() < end:
            body = several.pop()
            began = time.perf_counter()
            head = (
                "POST /oauth/token HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type:"
                f" application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            told = await reader.readuntil(b"\r\n\r\n")
            length = int(told.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            if b" 200 " not in told[:16]:
                raise SystemExit(told.decode())
            waits.append(time.perf_counter() - began)
        writer.close()

    async def all_() -> list[float]:
        waits: list[float] = []
        await asyncio.gather(*(one(waits) for _ in range(CONNECTIONS)))
        return waits

    end = time.perf_counter() + seconds
    done.put(asyncio.run(all_()))


def processor_seconds(processes: list[int]) -> float:
    """What these processes have used so far."""
    ticks = os.sysconf("SC_CLK_TCK")
    used = 0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
        used += int(fields[11]) + int(fields[12])
    return used / ticks


def _run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, check=True, env=environment)  # noqa: S603 - the node's own command


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--number", type=int, default=16_000)
    parser.add_argument("--port", type=int, default=18_471)
    options = parser.parse_args()
    command = [sys.executable, "-m", "quanmin.node.commands"]
    with tempfile.TemporaryDirectory(prefix="tokens-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)  # the account of PostgreSQL passes through
        where = ["--directory", folder]
        key = ECKey.generate_key("P-384")
        keys = Path(folder) / "jwks.json"
        keys.write_text(json.dumps({"keys": [{**key.as_dict(private=False), "kid": "one"}]}))
        environment = os.environ | {
            "QUANMIN_DOOR_CLIENT_REQUESTS_PER_SECOND": "100000",
            "QUANMIN_DOOR_CLIENT_BURST_REQUESTS": "100000",
            "QUANMIN_NODE_PORT": str(options.port),
        }
        _run([*command, "node", "start", *where], environment)
        try:
            register = ["client", "add", "bench", "--name", "Bench", "--sender", "bench"]
            more = ["--grant", "client_credentials", "--scopes", "system/*.rs"]
            _run([*command, *register, *more, "--jwks", str(keys), *where], environment)
            audience = f"http://127.0.0.1:{options.port}/oauth/token"
            made = forms(key, audience, options.number)
            share = len(made) // options.processes
            state = json.loads((Path(folder) / "state.json").read_text())
            workers = state["workers"]
            done: multiprocessing.Queue = multiprocessing.Queue()
            before, began = processor_seconds(workers), time.perf_counter()
            asking = [
                multiprocessing.Process(
                    target=ask,
                    args=(options.port, made[n * share : (n + 1) * share], options.seconds, done),
                )
                for n in range(options.processes)
            ]
            for process in asking:
                process.start()
            waits = sorted(wait for _ in asking for wait in done.get())
            took = time.perf_counter() - began
            used = processor_seconds(workers) - before
            for process in asking:
                process.join()
            print(
                f"{len(waits)} tokens in {took:.1f} s: {len(waits) / took:.0f} a second;"
                f" p50 {waits[len(waits) // 2] * 1000:.1f} ms,"
                f" p99 {waits[int(len(waits) * 0.99)] * 1000:.1f} ms;"
                f" {used / len(waits) * 1000:.2f} ms of a processor each in the workers"
            )
        finally:
            _run([*command, "node", "stop", *where], environment)


if __name__ == "__main__":
    main()
