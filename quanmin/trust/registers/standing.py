"""Whether an actor may act at this moment, by the registers: what was closed, ended or withdrawn
stops them with the next request, in every process.

So nothing is remembered from one request to the next. Requests that arrive while a statement is
under way share the next one, as single reads do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any, Final, Literal

import msgspec

from quanmin.base.database import Reader
from quanmin.base.once import once
from quanmin.base.problems import Forbidden, Sentence, Stopped
from quanmin.base.sharing import Shared
from quanmin.trust.actors import Actor, Place
from quanmin.trust.registers.definitions import RoleRule, acting_states, roles
from quanmin.trust.registers.licensing import (
    Held,
    coded_types,
    codes_of,
    licence_rule,
    place_bound,
    unlicensed,
)
from quanmin.trust.registers.tenant_rule import tenant_rule

Obstacle = Literal["state", "abroad", "admission", "no-post", "post", "licence"]

_REMEMBERED_MAX: Final = 10_000
_ASK: Final = """
    select asked.actor, asked.sender, asked.client, e.organization is not null as is_entered,
        exists (
            select from trust.actor a where a.code = asked.actor and a.account is not null
        ) as is_person,
        e.code as institution, i.state, i.level, i.grade, i.kind, i.region,
        (select w.edition from trust.wall w where w.is_up) as walls,
        not exists (
            select from trust.party_member m
            where (m.kind, m.member) in (('actor', asked.actor), ('sender', asked.sender),
                    ('client', asked.client))
                and not exists (
                    select from trust.admission d where d.party = m.party
                        and d.state = 'admitted' and d.since <= $3 and d.until > $3)
        ) as is_admitted,
        exists (select from trust.post h where h.actor = asked.actor) as has_posts,
        p.post, p.duties, p.organization = e.organization as is_there,
        array(
            select l.kind || '/' || coalesce(s.scope, '')
            from trust.licence l left join unnest(l.scopes) s (scope) on true
            where l.practitioner = p.practitioner and l.since <= $3 and l.until > $3
                and l.state = any($4::text[])
                and (l.kind <> all($5::text[]) or exists (
                    select from trust.practice w
                    where w.practitioner = p.practitioner and w.organization = p.organization
                        and w.since <= $3 and w.until > $3))
        ) as licences,
        case when exists (select from trust.recipient) then array_remove(array[
            trust.transfer_of('actor', asked.actor, $3),
            trust.transfer_of('sender', asked.sender, $3),
            trust.transfer_of('client', asked.client, $3)], null) else '{}' end as transfers
    from unnest($1::text[], $2::text[], $6::text[]) asked (actor, sender, client)
    left join trust.institution_entry e using (sender)
    left join trust.institution i
        on i.organization = e.organization and i.since <= $3 and i.until > $3
    left join trust.post p on p.actor = asked.actor and p.since <= $3 and p.until > $3
"""
# Asked of a node that has tenants alone, and once for an edition of their register: every change of
# what is asked here makes a new one, and what comes by its date is told by `until`.
_ASK_TENANTS: Final = """
    select asked.actor, asked.sender, asked.client, t.code as tenant,
        (select m.party from trust.party_member m join trust.party p using (party)
         where p.kind = 'operator' and (m.kind, m.member) in
            (('actor', asked.actor), ('client', asked.client), ('sender', asked.sender))
         order by m.kind limit 1) as party,
        array(select distinct on (a.application) a.application || '/' || a.is_on::text
            from trust.tenant_application a
            where a.tenant = t.tenant and a.since <= $3
            order by a.application, a.since desc) as switches,
        w.edition, trust.open_until($3) as until
    from trust.wall w, unnest($1::text[], $2::text[], $4::text[]) asked (actor, sender, client)
    join trust.tenancies($2, $3) y on y.code = asked.sender
    left join trust.tenant t using (tenant)
"""


_TYPES: Final = """
    select transfer, types from trust.transfer where transfer = any($1) and types is not null
"""


class Standing(msgspec.Struct, frozen=True):
    """What the registers say of an actor at this moment.

    `institution` is the credit code of the actor's, `state`, `level`, `grade`, `kind` and `region`
    are that one's; all are empty of one that is not in the register. `is_person`: it is the actor
    of an account. `post` is None of an actor without posts; `licences` are in force where the post
    is. `transfers` are those under which a recipient outside the country receives, 0 among them
    that it has none; `transferred` the types that these are about, None for all. `walls` is the
    edition of the register of tenants, None of a node without any; `tenant` the code of the
    actor's, "" for none; `party` the entrusted operator that the actor works for, within the
    tenants which that one runs; `switches` are the applications that were decided on for the
    tenant.
    """

    is_entered: bool = False
    is_person: bool = False
    state: str = ""
    level: str | None = None
    grade: str | None = None
    kind: str | None = None
    region: str = ""
    walls: int | None = None
    tenant: str = ""
    party: str = ""
    switches: frozenset[tuple[str, bool]] = frozenset()
    is_admitted: bool = True
    has_posts: bool = False
    post: int | None = None
    duties: frozenset[str] = frozenset()
    licences: frozenset[Held] = frozenset()
    transfers: tuple[int, ...] = ()
    transferred: frozenset[str] | None = None
    institution: str = ""

    def acting(self, actor: Actor) -> Actor:
        """The actor with what the registers say: the duties of the post, and the place; on the
        pages of no application that is not switched on for the tenant.
        """
        said = self.level or "", self.grade or "", self.kind or ""
        place = Place(self.institution, *said, self.region)
        application = actor.application if self.has(actor.application) else ""
        return msgspec.structs.replace(
            actor, duties=actor.duties | self.duties, place=place, application=application
        )

    def obstacle(self, role: str, *, posts_required: bool = True) -> tuple[Obstacle, str] | None:
        """What keeps an actor of this role from acting, and more about it; None when nothing."""
        rule = roles().get(role)
        if self.is_entered and self.state not in acting_states():
            return "state", self.state or "not in force"
        if 0 in self.transfers:
            return "abroad", ""
        if not self.is_admitted:
            return "admission", ""
        if not self.has_posts:
            is_needed = posts_required and rule is not None and _needs_post(rule, self)
            return ("no-post", "") if is_needed else None
        if self.post is None:
            return "post", ""
        needed = frozenset() if rule is None else rule.licences
        if needed and needed.isdisjoint(kind for kind, _ in self.licences):
            return "licence", " or ".join(sorted(needed))
        return None

    def has(self, application: str) -> bool:
        """Whether an application is switched on for the actor's tenant; without one all are."""
        rule = tenant_rule().applications
        if not self.tenant or application in rule.always_on:
            return True
        return dict(self.switches).get(application, rule.default_on)

    def refusal(self, role: str, *, posts_required: bool = True) -> str | None:
        """Why an actor of this role may not act now, as a sentence; None when they may."""
        match self.obstacle(role, posts_required=posts_required):
            case "state", state:
                return Sentence(
                    "the register says that your institution is %(state)s now: nobody acts for "
                    "it; ask who keeps the register of institutions",
                    state=state,
                )
            case "abroad", _:
                return Sentence(
                    "you are outside the country, and no transfer to you that was approved is in"
                    " force: ask who keeps the processing register"
                )
            case "admission", _:
                return Sentence(
                    "the party you ask for is not admitted to this node, or no longer: ask who"
                    " keeps the register of admissions"
                )
            case "no-post", _:
                return Sentence(
                    "you have no post in the register: ask who keeps the register of posts"
                )
            case "post", _:
                return Sentence(
                    "your post has ended or has not begun: ask who keeps the register of posts"
                )
            case "licence", needed:
                return Sentence(
                    "no licence of yours is in force at this institution (%(needed)s): ask who "
                    "keeps the register of practitioners",
                    needed=needed,
                )
            case _:
                return None

    def refuse_unlicensed(self, types: Collection[str]) -> None:
        """Raises Forbidden for a person who writes what their licences do not cover, whatever it
        says.
        """
        for type_ in sorted(types):
            self._refuse(type_, frozenset())

    def refuse_uncovered(self, written: Iterable[tuple[str, bytes | None]]) -> None:
        """The same for records, by type and body, that are an act by what they say."""
        if self.post is None:
            return
        for type_, body in written:
            if body is not None and type_ in coded_types():
                self._refuse(type_, codes_of(msgspec.json.decode(body)))

    def _refuse(self, type_: str, codes: frozenset[str]) -> None:
        if self.post is None:
            return
        act = unlicensed(type_, self.licences, self.level, codes)
        if act is not None:
            held = ", ".join(sorted(f"{k} ({s})" if s else k for k, s in self.licences))
            raise Forbidden(
                Sentence(
                    "you may not %(act)s (%(type)s): it needs a licence of the kind %(known)s; "
                    "yours in force here: %(held)s",
                    act=act,
                    type=type_,
                    known=" or ".join(sorted(act.kinds)),
                    held=held or Sentence("none"),
                )
            )


def _needs_post(rule: RoleRule, standing: Standing) -> bool:
    return rule.post == "all" or (rule.post == "people" and standing.is_person)


class _Tenancy(msgspec.Struct, frozen=True):
    """What the register of tenants says of an asker in an edition, until a moment."""

    edition: int
    until: int
    tenant: str
    party: str
    switches: frozenset[tuple[str, bool]]

    def holds(self, edition: int, now: int) -> bool:
        return self.edition >= edition and self.until > now

    def told(self, standing: Standing) -> Standing:
        return msgspec.structs.replace(
            standing, tenant=self.tenant, party=self.party, switches=self.switches
        )


_UNKNOWN: Final = Standing()
_Key = tuple[str, str, str]


class Standings:
    """The standing of actors, for one process and one event loop."""

    def __init__(
        self,
        registers: Reader,
        now: Callable[[], int],
        *,
        posts_required: bool = True,
    ) -> None:
        """`registers` reads them; `now` gives microseconds since 1970-01-01T00:00Z. With
        `posts_required` nobody acts without a post whose role has one (roles.toml).
        """
        self.posts_required = posts_required
        self._registers = registers
        self._now = now
        self._tenancies: dict[_Key, _Tenancy] = {}
        self._shared: Shared[_Key, Standing] = Shared(self._ask_now, _UNKNOWN)

    async def of(self, actor: Actor) -> Standing:
        """What the registers say of this actor, and of the application that asks for them, now.
        Raises Stopped for one who may not act.
        """
        standing = await self.told(actor)
        refusal = standing.refusal(actor.role, posts_required=self.posts_required)
        if refusal is None and actor.client and not standing.has(actor.client):
            refusal = "this application is not switched on for the tenant that you act in"
        if refusal is not None:
            raise Stopped(refusal)
        return standing

    async def told(self, actor: Actor) -> Standing:
        """The same, also of one who may not act."""
        key = actor.code, actor.sender, actor.client
        return await once(("standing", *key), partial(self._shared.of, key))

    async def _ask_now(self, keys: Sequence[_Key]) -> dict[_Key, Standing]:
        return await self._ask(self._registers, keys, self._now())

    async def at(self, connection: Reader, actor: Actor, moment: int) -> Standing:
        """What the registers say of an actor at a moment, whether they may act or not; the tenants
        are those of now.
        """
        key = actor.code, actor.sender, actor.client
        return (await self._ask(connection, [key], moment)).get(key, _UNKNOWN)

    async def _ask(
        self, connection: Reader, keys: Collection[_Key], now: int
    ) -> dict[_Key, Standing]:
        actors, senders, clients = map(list, zip(*keys, strict=True))
        in_force = list(licence_rule().states.in_force)
        bound = list(place_bound())
        rows = await connection.fetch(_ASK, actors, senders, now, in_force, bound, clients)
        abroad = {number for row in rows for number in row["transfers"]} - {0}
        types = {}
        if abroad:
            for row in await connection.fetch(_TYPES, sorted(abroad)):
                types[row["transfer"]] = frozenset(row["types"])
        told = {_key(row): _standing(row, types) for row in rows}
        edition = max((row["walls"] for row in rows if row["walls"] is not None), default=None)
        if edition is None:
            return told
        held = await self._tenancies_of(connection, keys, edition, self._now())
        return {key: held[key].told(standing) for key, standing in told.items()}

    async def _tenancies_of(
        self, connection: Reader, keys: Collection[_Key], edition: int, now: int
    ) -> dict[_Key, _Tenancy]:
        held = {key: self._tenancies[key] for key in keys if key in self._tenancies}
        missing = [key for key in keys if key not in held or not held[key].holds(edition, now)]
        if missing:
            if len(self._tenancies) > _REMEMBERED_MAX:
                self._tenancies.clear()
            actors, senders, clients = map(list, zip(*missing, strict=True))
            for row in await connection.fetch(_ASK_TENANTS, actors, senders, now, clients):
                held[_key(row)] = self._tenancies[_key(row)] = _tenancy(row)
        return held


def _standing(row: Any, types: dict[int, frozenset[str]]) -> Standing:
    transfers = tuple(row["transfers"])
    is_known = row["is_entered"] or row["has_posts"] or row["is_person"] or transfers
    if row["is_admitted"] and not is_known and row["walls"] is None:
        return _UNKNOWN
    bounds = [types[one] for one in transfers if one in types]
    # A post is at the institution that the actor writes for, or it is none.
    is_there = bool(row["is_there"])
    return Standing(
        is_entered=row["is_entered"],
        is_person=row["is_person"],
        state=row["state"] or "",
        level=row["level"],
        grade=row["grade"],
        kind=row["kind"],
        region=row["region"] or "",
        walls=row["walls"],
        is_admitted=row["is_admitted"],
        has_posts=row["has_posts"],
        post=row["post"] if is_there else None,
        duties=frozenset(row["duties"] or ()) if is_there else frozenset(),
        licences=frozenset(map(_held, row["licences"])) if is_there else frozenset(),
        transfers=transfers,
        transferred=frozenset.intersection(*bounds) if bounds else None,
        institution=row["institution"] or "",
    )


def _key(row: Any) -> _Key:
    return row["actor"], row["sender"], row["client"]


def _tenancy(row: Any) -> _Tenancy:
    return _Tenancy(
        row["edition"],
        row["until"],
        row["tenant"] or "",
        row["party"] or "",
        frozenset(map(_switch, row["switches"])),
    )


def _switch(text: str) -> tuple[str, bool]:
    application, _, is_on = text.rpartition("/")
    return application, is_on == "true"


def _held(text: str) -> Held:
    kind, _, scope = text.partition("/")
    return kind, scope
