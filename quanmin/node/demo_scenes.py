"""Plays the scenes of a demonstration: its accounts work on the pages of the running node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

import httpx
from rich.console import Console

from quanmin.base.problems import Invalid
from quanmin.demo.scenes import Act, Playing, Visitor, scenes_of_accounts
from quanmin.fhir.json import decode, encode
from quanmin.node.places import Places, Played
from quanmin.node.server import Node
from quanmin.trust import Actor
from quanmin.trust.sign_in import cookie_name
from quanmin.workflow.mental import registrations
from quanmin.workflow.notifiable.cards import fact_of

_ANSWER_SECONDS_MAX: Final = 60.0
_PLANS_MAX: Final = 20


async def play_scenes(
    node: Node, places: Places, address: str, actors: Sequence[Actor], console: Console
) -> None:
    """Go through the scenes that no earlier run went through. What pages have against one, as after
    a run that was broken off in the middle of it, is told, and the next one follows.
    """
    moment = datetime.fromtimestamp(node.guard.now() / 1_000_000, node.settings.zone)
    by_code, done = {one.code: one for one in actors}, places.played()
    scenes = [one for one in scenes_of_accounts().scene if one.name not in done.scenes]
    if not scenes:
        return
    started = monotonic()

    async def aside(act: Act, one: str) -> str:
        actor = by_code[act.by]
        if act.earlier:
            day = moment.date() - timedelta(days=act.earlier)
            return await _begin_earlier(node, actor, one, f"{day}")
        if act.sent:
            return await _send_earlier(node, actor, one, moment - timedelta(days=int(act.sent)))
        return await _diagnose(node, actor, one, act.diagnosis, moment)

    async with AsyncExitStack() as opened:
        visitors = await _visitors(node, address, by_code, opened)
        playing = Playing(visitors, moment, aside, done.kept)
        with console.status("playing scenes ..."):
            for scene in scenes:
                try:
                    await playing.go_through(scene)
                except Invalid as problem:
                    done.refused.append(problem.text)
                    console.print(f"Left out of {scene.name!r}: {problem.text}", soft_wrap=True)
                done.scenes.append(scene.name)
                places.keep_played(Played(done.scenes, playing.kept, done.refused))
    seconds = monotonic() - started
    console.print(f"{len(scenes)} scenes were played in {seconds:.0f} s.")


async def _visitors(
    node: Node, address: str, actors: Mapping[str, Actor], opened: AsyncExitStack
) -> dict[str, Visitor]:
    """Each account that works, whose session ends with what was opened."""
    used = {act.by for scene in scenes_of_accounts().scene for act in scene.act}
    name = cookie_name(is_secure=False)
    visitors = {}
    for code in sorted(used):
        cookie = await node.sign_in.sessions.begin(
            code, "whole", ("pwd", "otp", "mfa"), actor=actors[code], browser="quanmin demo"
        )
        opened.push_async_callback(node.sign_in.sessions.end, cookie)
        client = httpx.AsyncClient(
            base_url=address,
            cookies={name: cookie},
            headers={"Origin": address, "Accept-Language": "zh"},
            timeout=_ANSWER_SECONDS_MAX,
            trust_env=False,
        )
        visitors[code] = Visitor(await opened.enter_async_context(client))
    return visitors


async def _begin_earlier(node: Node, actor: Actor, patient: str, day: str) -> str:
    """Let the registration of a severe mental disorder have begun on a day: the form knows today
    only, and nobody would be overdue.
    """
    records = node.guard.records(actor, purpose="PUBHLTH", request_id="demo")
    found = await records.timeline(patient, types=("CarePlan",), count=_PLANS_MAX)
    for plan in registrations(decode(one.body or b"{}") for one in found.entries):
        body = {**plan, "period": {**plan["period"], "start": day}}
        await records.update("CarePlan", str(plan["id"]), encode(body))
    return patient


async def _send_earlier(node: Node, actor: Actor, card: str, moment: datetime) -> str:
    """Let a report card have been sent at a moment: the page knows now only, and supervisors are
    told of weeks that are over.
    """
    records = node.guard.records(actor, purpose="PUBHLTH", request_id="demo")
    task = decode((await records.read("Task", card)).body or b"{}")
    told = fact_of("sent", "valueDateTime", moment.isoformat(timespec="seconds"))
    kept = [one for one in task["input"] if one["type"] != told["type"]]
    await records.update("Task", card, encode({**task, "input": [*kept, told]}))
    return card


async def _diagnose(
    node: Node, actor: Actor, patient: str, diagnosis: tuple[str, str], moment: datetime
) -> str:
    """A diagnosis, as the system of the actor's institution sends it."""
    code, words = diagnosis
    coding = {"system": "http://hl7.org/fhir/sid/icd-10", "code": code, "display": words}
    body = {
        "resourceType": "Condition",
        "code": {"coding": [coding], "text": words},
        "subject": {"reference": f"Patient/{patient}"},
        "recordedDate": moment.isoformat(timespec="seconds"),
    }
    records = node.guard.records(actor, purpose="TREAT", request_id="demo")
    return (await records.create("Condition", encode(body))).stored.id
