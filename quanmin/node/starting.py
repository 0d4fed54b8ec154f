"""Starts a node in the background and tells how it went; asks it to stop; renews its workers."""

from __future__ import annotations

import logging
import os
import signal
import time
from contextlib import suppress
from typing import Final

import msgspec

from quanmin.base.logs import SEVERITIES, write_logs
from quanmin.base.problems import Problem, Unusable
from quanmin.node.places import Places, State
from quanmin.node.settings import Settings
from quanmin.node.supervisor import Supervisor

log = logging.getLogger("quanmin.node")

_READY: Final = b"ready "
_POLL_SECONDS: Final = 0.05
_STOP_SECONDS_MAX: Final = 120.0


def start_in_background(settings: Settings) -> State:
    """Start the node as a process of its own and return when it takes requests.

    Raises Unusable with the reason when it does not come up.
    """
    places = Places(settings.node.directory)
    places.prepare()
    log = _open_log(places, settings)
    reading, writing = os.pipe()
    # Forked, not started anew: it has all it needs in memory already, and a second is saved.
    if os.fork() == 0:
        os.close(reading)
        _detach(log)
        os._exit(_run(settings, writing))
    os.close(writing)
    os.close(log)
    with os.fdopen(reading, "rb") as report:
        said = report.read()
    if not said.startswith(_READY):
        raise Unusable(said.decode("utf-8", "replace") or f"The node ended: see {places.log}.")
    return msgspec.json.decode(said[len(_READY) :], type=State)


def _detach(log: int) -> None:
    """Leave the terminal: nothing is read, what is said goes to the log."""
    os.setsid()
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, stands_for in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, stands_for)
    os.close(nothing)
    os.close(log)


def _run(settings: Settings, report: int) -> int:
    """Run the node to its end and give the exit code; what keeps it from starting is reported."""

    def announce(state: State) -> None:
        try:
            os.write(report, _READY + msgspec.json.encode(state))
        except BrokenPipeError as error:
            raise Unusable(
                "Whoever started the node did not wait for it: it ends again."
            ) from error
        finally:
            os.close(report)

    write_logs(SEVERITIES[settings.log.severity])
    try:
        Supervisor(settings, announce).run()
    except Problem as problem:
        log.exception("the node ends")
        with suppress(OSError):  # closed when it had started before
            os.write(report, problem.text.encode())
        return 1
    except BaseException:
        log.exception("the node ends by a defect")
        return 70
    return 0


def _open_log(places: Places, settings: Settings) -> int:
    """The node's log, for its owner only; one that has grown too large is put aside."""
    path = places.log
    if path.exists() and path.stat().st_size > settings.log.bytes_max:
        path.replace(path.with_suffix(".log.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)


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
