"""Fills a running node with the invented province, through its own front door."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from quanmin.base.postgres import open_pool
from quanmin.base.problems import Unusable
from quanmin.demo.guide import find_hints
from quanmin.demo.province import Province
from quanmin.demo.register_sheets import first_of_staff, parent_and_child
from quanmin.demo.show import fill
from quanmin.node.demo_actors import CENTRE, HOSPITALS, RESIDENT, enrol_first_actors
from quanmin.node.demo_followups import enter_followups
from quanmin.node.demo_registers import (
    enter_parent,
    fill_posts,
    fill_registers,
    person_with,
)
from quanmin.node.demo_scenes import play_scenes
from quanmin.node.first_actors import OPERATOR, keep
from quanmin.node.places import Enrolled, Places, Shown
from quanmin.node.reach import reached_database
from quanmin.node.server import open_node
from quanmin.node.settings import Settings
from quanmin.node.starting import renew_workers
from quanmin.trust import Actor, Actors, Role
from quanmin.trust.sign_in import SignIn, present_code

_STAFF: Final[tuple[tuple[str, Role, Actor, str], ...]] = (
    ("demo-doctor", "doctor", HOSPITALS[0], "心血管内科"),
    ("demo-prevention", "public_health_worker", HOSPITALS[0], "儿科"),
    ("demo-mental", "public_health_worker", HOSPITALS[0], "神经内科"),
    ("demo-cdc", "public_health_worker", CENTRE, "传染病防制科"),
    ("demo-supervisor", "supervisor", CENTRE, "免疫规划科"),
)
_IDENTITY_NUMBER: Final = re.compile(r"\d{17}[\dX]")


def demonstrate(
    settings: Settings, *, people: int, seed: int, console: Console, truth: Path | None = None
) -> None:
    """Send the province to the running node and say what to try; a second run goes on.

    `truth` is a file to be written: for each registration, whose it is.

    From now on every page says that its people are invented, and the resident among the first
    actors is one of them. Raises Unusable when the node does not run.
    """
    places = Places(settings.node.directory)
    state = places.running()
    if state is None:
        raise Unusable("The node does not run: start it first with `quanmin node start`.")
    if state.scheme != "http":
        raise Unusable(
            "The demonstration is sent without TLS: start the node without `node.tls_certificate`."
        )
    province = Province(seed=seed, people=people)
    if not places.holds_fictional_data:
        places.mark_fictional()
        renew_workers(places)
    with reached_database(settings) as dsn:
        asyncio.run(enrol_first_actors(dsn, places))
        tokens = asyncio.run(_tokens_of_senders(dsn, places, province))
        fill(state.address, tokens, province, console)
        asyncio.run(_embody_resident(settings, dsn, province))
        asyncio.run(_fill_registers(settings, dsn, province, console))
        actors = asyncio.run(_open_accounts(settings, dsn, places, province))
        asyncio.run(_work(settings, dsn, state.address, actors, console))
    if truth is not None:
        with console.status("writing the truth ..."):
            count = province.write_truth(truth)
        console.print(f"\n{truth}: {count:,} registrations and whose each one is.", soft_wrap=True)


async def _tokens_of_senders(dsn: str, places: Places, province: Province) -> Mapping[str, str]:
    """A token for each sender; one that is unknown or whose token is lost gets a new one."""
    known = {each.code: each.token for each in places.tokens()}
    pool = await open_pool(dsn, name="quanmin demo", connections_max=1)
    made = []
    try:
        actors = Actors(pool)
        for sender in province.senders():
            if sender.code not in known:
                actor = Actor(sender.code, "institution", sender.name, sender.code)
                is_known = await actors.by_code(sender.code) is not None
                token = await (actors.renew(sender.code) if is_known else actors.enrol(actor))
                made.append(Enrolled(actor.code, actor.role, actor.name, token or ""))
    finally:
        await pool.close()
    keep(places, tuple(made))
    return known | {each.code: each.token for each in made}


async def _embody_resident(settings: Settings, dsn: str, province: Province) -> None:
    """Let the first resident be the person whom the guide names by identity number."""
    numbers = [hint.term for hint in find_hints(province) if _IDENTITY_NUMBER.fullmatch(hint.term)]
    async with open_node(settings, dsn, connections_max=2) as node:
        for number in numbers:
            person = await person_with(node, number)
            if person is not None:
                await node.pool.execute(
                    "update trust.actor set person = $2 where code = $1", RESIDENT.code, person
                )
                return


async def _fill_registers(
    settings: Settings, dsn: str, province: Province, console: Console
) -> None:
    async with open_node(settings, dsn, connections_max=2) as node:
        await fill_registers(node, province, console)


async def _work(
    settings: Settings, dsn: str, address: str, actors: Sequence[Actor], console: Console
) -> None:
    places = Places(settings.node.directory)
    async with open_node(settings, dsn, connections_max=2) as node:
        await play_scenes(node, places, address, actors, console)
        doctor = next(actor for actor in actors if actor.code == "demo-doctor")
        kept = places.played().kept
        beside = [kept[name] for name in sorted(kept) if name.startswith("chronic_")]
        await enter_followups(node.guard, doctor, node.settings.zone, beside)


async def _open_accounts(
    settings: Settings, dsn: str, places: Places, province: Province
) -> Sequence[Actor]:
    """Accounts to sign in with, once, with their posts: of staff at the centre and a hospital, of
    whom one vaccinates and checks reports and one looks after severe mental disorders, of the
    centre for disease control, of a supervisor, of a resident, of a mother who acts for her child,
    and of the security administrator. Whoever can read the node's folder can sign in as any.
    """
    kept = [shown for shown in places.accounts() if shown.secret]
    known = {shown.code for shown in kept}
    family = parent_and_child(province)
    async with open_node(settings, dsn, connections_max=2) as node:
        resident = await node.actors.by_code(RESIDENT.code)
        person = resident.person if resident else None
        mother = None if family is None else await person_with(node, family.parent)
        actors = [
            Actor("demo-centre", "operator", "县信息中心", OPERATOR.sender),
            Actor("demo-clerk", "institution", HOSPITALS[0].name, HOSPITALS[0].sender),
            Actor("demo-resident", "resident", "Resident", "", person),
            Actor("demo-security", "security_administrator", "安全管理员", "register"),
            *_staff(province),
        ]
        if family is not None and mother is not None:
            actors.append(Actor("demo-mother", "resident", family.parent_name, "", str(mother)))
        missing = [actor for actor in actors if actor.code not in known]
        made = [await open_account(node.sign_in, actor) for actor in missing]
        await fill_posts(node, province)
        if family is not None:
            await enter_parent(node, family)
    places.keep_accounts((*kept, *made))
    return actors


def _staff(province: Province) -> Iterator[Actor]:
    """Those who work at an institution, each by the name of somebody of its register there."""
    for code, role, place, department in _STAFF:
        name = first_of_staff(province, place.sender, department).name.text
        yield Actor(code, role, f"{name}（{place.name}）", place.sender)


async def open_account(entrance: SignIn, actor: Actor) -> Shown:
    """An account of a demonstration, with an authenticator whose secret is shown."""
    password = "-".join(secrets.token_hex(2) for _ in range(5))
    document = f"demonstration:{actor.code}"
    if await entrance.accounts.find(actor.code) is None:
        invitation = await entrance.accounts.add(
            actor.code, actor, document=document, real_name_level=2
        )
    else:  # an earlier demonstration was interrupted before it could keep the password
        invitation = await entrance.accounts.invite(actor.code)
    await entrance.accounts.accept(invitation, password)
    secret = entrance.totp.new_secret()
    await entrance.totp.add(actor.code, secret, present_code(secret, periods_ago=1))
    return Shown(actor.code, actor.role, password, secret)
