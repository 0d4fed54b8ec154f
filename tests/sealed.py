"""Something of everything that a node seals under its root, as its writers write it."""

from __future__ import annotations

from typing import TypeAlias

import asyncpg
from entrance import quick_passwords
from persons import asking, registered
from stores import open_guard

from quanmin.base.clock import Clock
from quanmin.base.jobs import put
from quanmin.node.resealing import SEALED
from quanmin.records.context import Context
from quanmin.trust import Guard, Mandate, drafts
from quanmin.trust.deciding.glass import Wanted
from quanmin.trust.emergencies import Emergencies
from quanmin.trust.emergency_reviews import EmergencyReviews
from quanmin.trust.lifecycle import incidents
from quanmin.trust.notices import About, Contact, Notices, kernel_kinds, tell_account
from quanmin.trust.notices.sealing import seal, unseal
from quanmin.trust.sign_in import Relying, SignIn, SignInLimits, present_code
from quanmin.trust.sign_in.id_tokens import ID_TOKEN_KEYS, IdTokens, replace_key

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
NOW = Clock().now()
_REASON = "unconscious after a fall, allergies unknown"
_BEGUN = drafts.Written("/form", {"en": "Form"}, {"words": ["begun"]})
_OPINION = "nothing in the chart of the visit speaks of it"


def _sign_in(pool: Pool, guard: Guard, context: Context) -> SignIn:
    return SignIn(
        pool,
        context.keys,
        guard.log,
        Clock().now,
        limits=SignInLimits(),
        passwords=quick_passwords(),
        relying=Relying("localhost", "http://localhost", "Node"),
    )


class Written:
    """Something of everything that is sealed, as its writers write it."""

    def __init__(self, pool: Pool, context: Context) -> None:
        self.pool = pool
        self.guard = open_guard(pool, context)
        self.secret = ""
        self.job = 0

    async def write(self) -> None:
        pool, context = self.pool, self.guard.store.context
        there = await registered(self.guard, "b")
        doctor = asking(self.guard, "doctor", "c", purpose="BTG")
        await doctor.desk(Emergencies).open(there.id, _REASON)
        reviewing = asking(self.guard, "security_administrator").desk(EmergencyReviews)
        ((waiting, _),) = await reviewing.listed(Wanted("waiting"), count=10)
        await reviewing.judge(waiting.glass, "justified", _OPINION)
        await pool.execute(
            "insert into trust.account (code, name, made_at) values ('li', 'Li', $1)", NOW
        )
        signing_in = _sign_in(pool, self.guard, context)
        self.secret = signing_in.totp.new_secret()
        assert await signing_in.totp.add(
            "li", self.secret, present_code(self.secret, periods_ago=1)
        )
        await self.tell("first")
        notices = Notices(pool, Clock().now)
        await notices.choose("li", [Contact("sms", "13800001234", "zh")], None, context)
        async with pool.acquire() as connection:
            await replace_key(connection, context.keys.rooted(ID_TOKEN_KEYS), NOW)
            words = incidents.seal(context, "told of nothing")
            number = await connection.fetchval(
                "insert into trust.incident (opened_at, opened_by, told, since, until, actors,"
                " clients, senders) values (1, 'x', $1, 1, 2, '{}', '{}', '{}') returning incident",
                words,
            )
            await connection.execute(
                "insert into trust.incident_step values ($1, 1, 'x', 'open', $2)", number, words
            )
            payload = {"incident": number, "words": words.hex()}
            await put(connection, incidents.TELL, payload, owner="x", once="1")
        await pool.execute(
            "insert into trust.outgoing (task, code, state, since, due, said, made_at)"
            " values (1, 'x', 'x', 1, 1, $1, 1)",
            seal(context, "words", b"refused"),
        )
        writing = asking(self.guard, "operator")
        await pool.execute(
            "insert into trust.actor (code, role, name, sender) values ($1, 'operator', 'x', 'x')",
            writing.actor.code,
        )
        await drafts.Drafts(self.guard).keep(writing.actor, _BEGUN, "", most=9, bytes_max=999)
        errands = writing.errands
        self.job = await errands.begin("export", Mandate("asked", {"of": "all"}), open_max=9)
        [refusal] = [one for one in SEALED if one.table == "imports.refusal"]
        await pool.execute("insert into imports.input (job, input) values ($1, 0)", self.job)
        await pool.execute(
            "insert into imports.refusal values ($1, 0, 0, 1, $2)",
            self.job,
            context.seal(refusal.purpose, b"{}\n", refusal.place({"job": self.job, "input": 0})),
        )

    async def tell(self, words: str) -> None:
        context = self.guard.store.context
        about = About(words=seal(context, "words", words.encode()))
        await tell_account(self.pool, "li", NOW, next(iter(kernel_kinds())), about=about)

    async def read(self, context: Context) -> None:
        """Everything opens, for a process that is opened now."""
        guard = open_guard(self.pool, context)
        reviewing = asking(guard, "security_administrator").desk(EmergencyReviews)
        ((opened, _),) = await reviewing.listed(Wanted(), count=10)
        assert (opened.reason, opened.opinion) == (_REASON, _OPINION)
        signing_in = _sign_in(self.pool, guard, context)
        assert await signing_in.totp.take("li", present_code(self.secret))
        await self.pool.execute("update trust.totp set last_step = 0")
        [contact] = await Notices(self.pool, Clock().now).contacts("li", context)
        assert contact.address == "13800001234"
        rows = await self.pool.fetch("select words from trust.notice where words is not null")
        assert b"first" in {unseal(context, "words", row["words"]) for row in rows}
        tokens = IdTokens(
            self.pool,
            context.keys.rooted(ID_TOKEN_KEYS),
            lambda: NOW,
            days_max=9,
            revoked=signing_in.accounts._revoked,
        )
        assert len((await tokens.key_set())["keys"]) == 1
        said = await self.pool.fetchval("select said from trust.outgoing")
        assert unseal(context, "words", said) == b"refused"
        for column in ("incident.told", "incident_step.words"):
            table, _, name = column.partition(".")
            words = await self.pool.fetchval(f"select {name} from trust.{table}")
            assert incidents.unsealed(context, words) == "told of nothing"
        payload = await self.pool.fetchval(
            "select payload->>'words' from jobs.job where kind = $1", incidents.TELL
        )
        assert incidents.unsealed(context, bytes.fromhex(payload)) == "told of nothing"
        assert await drafts.Drafts(guard).find(asking(guard, "operator").actor, "/form") == _BEGUN
        found = await asking(guard, "operator").errands.find(self.job)
        assert found.mandate == Mandate("asked", {"of": "all"})
