"""Starts a node in the background and tells how it went; asks it to stop; renews its workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import IO, Final

import msgspec

from quanmin.base.logs import SEVERITIES, write_logs
from quanmin.base.problems import Problem, Unusable
from quanmin.node.places import Places, State
from quanmin.node.settings import Settings, pack, unpack
from quanmin.node.supervisor import Supervisor

_READY: Final = b"ready "
_POLL_SECONDS: Final = 0.05
_STOP_SECONDS_MAX: Final = 120.0


class _Orders(msgspec.Struct, frozen=True):
    settings: bytes
    report: int


def start_in_background(settings: Settings) -> State:
    """Start the node as a process of its own and return when it takes requests.

    Raises Unusable with the reason when it does not come up.
    """
    places = Places(settings.node.directory)
    places.prepare()
    reading, writing = os.pipe()
    try:
        with _open_log(places, settings) as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "quanmin.node.starting"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(writing,),
                start_new_session=True,
                cwd="/",
            )
    finally:
        os.close(writing)
    if process.stdin is None:
        raise RuntimeError
    process.stdin.write(msgspec.json.encode(_Orders(pack(settings), writing)))
    process.stdin.close()
    with os.fdopen(reading, "rb") as report:
        said = report.read()
    if not said.startswith(_READY):
        process.wait()
        raise Unusable(said.decode("utf-8", "replace") or f"The node ended: see {places.log}.")
    process.returncode = 0  # it is on its own from now on: nobody waits for it
    return msgspec.json.decode(said[len(_READY) :], type=State)


def _open_log(places: Places, settings: Settings) -> IO[bytes]:
    """The node's log, for its owner only; one that has grown too large is put aside."""
    path = places.log
    if path.exists() and path.stat().st_size > settings.log.bytes_max:
        path.replace(path.with_suffix(".log.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    return os.fdopen(descriptor, "ab")


def stop(places: Places) -> bool:
    """Ask the running node to end and return when it has; False when none runs. Raises Unusable."""
    state = places.running()
    if state is None:
        return False
    _signal(state.process, signal.SIGTERM)
    end = time.monotonic() + _STOP_SECONDS_MAX
    while places.running() is not None:
        if time.monotonic() > end:
            raise Unusable(
                f"The node (process {state.process}) has not ended after {_STOP_SECONDS_MAX:.0f} "
                f"s: see {places.log}."
            )
        time.sleep(_POLL_SECONDS)
    return True


def renew_workers(places: Places) -> None:
    """Ask the running node to replace its workers one by one, so that they see what has changed."""
    state = places.running()
    if state is not None:
        _signal(state.process, signal.SIGHUP)


def _signal(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise Unusable("The node belongs to another user: run this as that user.") from error


def main() -> None:
    """Run the node for `start_in_background`."""
    orders = msgspec.json.decode(sys.stdin.buffer.read(), type=_Orders)
    settings = unpack(orders.settings)
    write_logs(SEVERITIES[settings.log.severity])

    def announce(state: State) -> None:
        os.write(orders.report, _READY + msgspec.json.encode(state))
        os.close(orders.report)

    try:
        Supervisor(settings, announce).run()
    except Problem as problem:
        os.write(orders.report, problem.text.encode())
        sys.exit(1)


if __name__ == "__main__":
    main()
